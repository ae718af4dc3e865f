//! The commented file that `portcullis check --init URL` writes.

/// The file for a deployment at `url`.
pub(super) fn render(url: &str) -> String {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or(url);
    let quote = |text: &str| format!("{:?}", text.replace(['"', '\\', '\n', '\r'], ""));
    TEMPLATE.replace("@NAME@", &quote(host)).replace("@URL@", &quote(url))
}

const TEMPLATE: &str = r#"# What `portcullis check --target` needs to know about a chatbot deployment.
# Secrets are references, never values: "env:NAME" or "file:PATH" (relative to this file).
name = @NAME@
base_url = @URL@

# How a question is asked. Without this table: POST /v1/chat/completions as OpenAI's API has it.
# [chat]
# method = "POST"
# path = "/api/chat"
# body = '{"message": "{{message}}"}'
# stream = '{"message": "{{message}}", "stream": true}'   # how the answer is asked for as a stream of events
# answer = "/answer"                  # JSON pointer to the answer's text

# What it offers. One of the three is wanted, or a pass could rest on a list that forgot a route.
[inventory]
# openapi = "/openapi.json"           # a path of the target, or "file:openapi.json"
# permission_key = "x-permission"     # the member of its operations that names the permission each needs
# access_log = "file:access.log"      # common or combined format
# complete_by = "name, date"          # who answers for the list below

# Routes beside those of the OpenAPI document, or what it does not say about them.
# [[route]]
# method = "GET"
# path = "/api/conversations/{id}"
# auth = "required"                   # or "public"
# kind = "api"                        # or "page", "login", "asset", "live", "ready"
# params = { id = "c-1" }             # "{{community}}" stands for the asker's community, see also tenancy.values
# query = { q = "{{query}}" }         # a route that holds "{{query}}" is a search, one with "{{document}}" reads one
# body = '{"title": "x"}'
# effect = "reads"                    # asking is harmless; other than GET it is "writes", asked with --allow writes
# as = "alice"                        # only this identity may use it
# succeeds_with = 404                 # what a rightful, harmless request gets when that is no success
# permission = "read-own"             # what a role needs to use it, in the target's words
# headers = { X-Client = "check" }
# shared = true                       # the same for every community by design
# signs_out = true                    # whoever asks it is signed out

# Who may use it: two members of different communities; two sessions of one user and two more users for rate limits.
# Exactly one of bearer, cookie, header, basic.
# [[identity]]
# name = "alice"
# community = "harbour"
# role = "member"
# bearer = "env:ALICE_TOKEN"
# cookie = { name = "sid", value = "file:alice.cookie" }
# header = { name = "X-Api-Key", value = "env:ALICE_KEY" }
# basic = { user = "alice", password = "env:ALICE_PASSWORD" }
# user = "alice"                      # sessions of one user share it
# plans = ["plus"]                    # what the user pays for
# spaces = ["office"]                 # spaces the user may see whatever they pay for: name all of them for staff
# purpose = "limits"                  # used for rate limits only; "named": only where a request names it with `as`

# Credentials that must be refused.
# [[identity]]
# name = "alice-expired"
# community = "harbour"
# bearer = "file:alice.expired"
# expired = true                      # or revoked = true, or wrong_audience = true

# A credential that works now and ends a few seconds after the run starts.
# [[identity]]
# name = "alice-short"
# user = "alice"
# community = "harbour"
# bearer = "file:alice.short"
# expiring = true
# ends = "2026-01-10T12:00:00Z"       # where the credential is no token that says it itself

# A member whose payment has ended, and the plans they had.
# [[identity]]
# name = "lars"
# community = "harbour"
# plans = ["plus"]
# bearer = "env:LARS_TOKEN"
# lapsed = true

# What it promises for the chat, per minute.
# [limits]
# user_per_minute = 60
# address_per_minute = 120
# session_per_minute = 60
# community_per_minute = 1000
# counts = "chat"                     # when these rates count questions to the chat alone; else they count everything
# marker = "rate_limited"             # text by which its own 429 is told from a model provider's

# Where the checker is taken for a proxy that is trusted, so that it may say where a request comes from: without that no network of
# IPv6 addresses is tried. Never let an address in that others have.
# [forwarded]
# header = "X-Forwarded-For"          # which the target believes from there
# from = "127.0.0.9"                  # on the target's own machine: the address that is trusted and that nobody else uses
# as = ["alice", "ann"]               # who asks, at `base_url` where that is another instance

# Where it is counted that a question held injected SQL, markup or script: lines of text that end with a number.
# Best of an instance that nobody else asks meanwhile.
# [alarms]
# as = "alice"                        # who asks such questions, at `base_url` where that is another instance
# told_at = "http://127.0.0.1:9090"   # when it is not the target itself
# operator = "env:OPERATOR_TOKEN"
# route = { method = "GET", path = "/metrics" }
# sql = 'security_events_total{event="sql_pattern"}'
# script = 'security_events_total{event="script_pattern"}'

# Where questions are screened before the model is asked, with the share of known attacks that the threshold is said to recognise.
# [screen]
# as = ["alice", "ann"]
# recall_percent = 50
# false_positive_percent = 1          # the share of harmless questions that it refuses at most
# private_attacks = "file:attacks.txt" # attacks of your own, one a line, 20 or more: change them from time to time
# threshold = "score 0.7"
# marker = "question_refused"         # text in the body of its refusals
# trace = "http://127.0.0.1:9002/trace" # the latest requests to the model, in JSON with `messages`
# [[screened]]
# topic = "the Yarrow letter"         # words that stand in no other document
# text = "came by boat in june"       # a text of it that stands nowhere else; a search for the topic must find it
# marker = "written on blue paper"    # or another text of it, which a search shows or which is not withheld
# order = true                        # it holds an order to the model; one without must stand beside it

# A community of each tier in a deployment for tests of the same build, whose clock may be moved. Below `hooks`, GET /limits
# tells `minute`, `hour` and `day`, POST /advance takes {"seconds": 60}, POST /preload takes {"amount": 1950}.
# [[tier]]
# tier = "standard"
# as = ["tester"]
# base_url = "http://127.0.0.1:9000"  # when it is not the target itself
# hooks = "http://127.0.0.1:9001/hooks/standard"

# Budgets that may be used up, one of tokens and one of what they cost: best those of a copy, with small ones.
# [[cap]]
# what = "tokens"                     # or "cost", in millionths of the currency's unit, with price = "150000/600000"
# limit = 4000                        # of one member for a day
# as = "till"                         # whose budget is used up
# other = "till-2"                    # somebody else
# question_tokens = "/usage/prompt_tokens"
# answer_tokens = "/usage/completion_tokens"
# marker = "budget_exhausted"         # text in its 429 and in no other one; where it answers 402 none is needed

# Every place where it is written down what was asked: the application's log, a proxy's, a tracer's, the audit, metrics.
# [[sink]]
# name = "application log"
# file = "/var/log/bot/app.log"       # or url = "https://logs.internal/query?last=5m" with bearer = "env:LOG_TOKEN"
# number = "http_requests_total"      # for metrics: a line that begins so and rises, since they hold no request ids

# [secrets]
# jwt_secret = "env:JWT_SECRET"
# encryption_key = "env:ENCRYPTION_KEY"
# csrf_secret = "env:CSRF_SECRET"
# sample_jwt = "file:some.jwt"        # a token it issued, to try the word list on
# words = "file:words.txt"            # more words to try, one a line
# used_elsewhere = ["<sha256 in hex>"]

# [tenancy]
# how_many = "k"                      # how a search is told how many results to give
# question = "When is the next meeting?"   # answered differently in each community
# id_names = ["workspace_id"]              # further names that may carry a community's id
# ids = { harbour = "ws-1" }               # ids, where the API does not use the names above
# values = { harbour = { document = "d-1" } }   # what "{{document}}" in a route stands for, for each community

# A random text in one document of one space, and who may read the space. Put one into every kind of space of two
# communities, and wait until the bot has indexed them.
# [[canary]]
# community = "harbour"
# space = "lounge"
# plans = ["plus"]                    # any of these plans opens it; or staff = true; without both every member reads it
# topic = "the Tarnwick ledger"       # what to ask for: words that stand in this document and nowhere else
# text = "qzvkxwpjmfhd"               # random, at least 12 letters or digits, nowhere else
# document = "d-17"                   # the document's id, as citations name it
# title = "Ledger of the crew"
# asks = ["Who keeps the Tarnwick ledger?"]   # more questions that it answers

# Readiness tells the truth only if it changes. Start the same build once more with a dependency it cannot reach (a wrong
# database port) and name that instance here; it is only asked how it is.
# [health]
# blocked_url = "http://127.0.0.1:8089"

# Where it meets the network. `portcullis check` looks at every address of every host, from this machine.
# [edge]
# hosts = ["bot.example.org", "www.bot.example.org"]   # beside the host of base_url
# http_port = 80
# https_port = 443
# origins = ["10.0.0.7:8443"]         # servers behind a CDN or a balancer, which answer for the same hosts
# certificate_files = ["file:certs/next.pem"]   # certificates that are not served yet
# ca = "file:private-root.pem"        # roots that are trusted beside the public ones; reports say so
# resolve = { "bot.example.org" = "192.0.2.7, 2001:db8::7" }   # instead of what DNS says; reports say so
# complete_by = "name, date"          # who answers for it that no host, origin, listener or file is missing here

# Everything else that listens: databases, caches, mail.
# [[edge.listener]]
# at = "10.0.0.8:5432"
# protocol = "postgres"               # or "smtp-starttls"; "tls" for what speaks TLS from the first byte
# Its roles, the least first. One working identity of each role is wanted, and administrators of two communities.
# [roles]
# order = ["member", "moderator", "admin"]
# admins = ["admin"]                  # the roles that count as administrators
# admin_paths = ["/api/admin"]        # nothing under these is for the least role
# declared = "file:roles.toml"        # [roles] with a list of permissions for each role, written and signed by a person
# sha256 = "<sha256 in hex>"          # of that file, when it was signed
# signed_by = "name, date"
# system = { method = "GET", path = "/api/admin/roles", as = "ada" }   # where the target says it itself: `roles`, `role`,
#                                       `permissions`, `routes`, `route_permission` are JSON pointers into its answer
# own = { method = "GET", path = "/api/me", role = "/role", permissions = "/permissions" }

# A request that exercises a permission, where no [[route]] with that `permission` does.
# [[permission]]
# name = "appoint-admins"
# method = "PATCH"
# path = "/api/admin/members/{id}"
# params = { id = "no-such-member" }
# body = '{"role": "admin"}'
# succeeds_with = 404

# [accounts]
# admins_at_most = 3                  # of one community, service keys included

# Where accounts are listed: people, and keys of programs. What stands in an item is named by JSON pointers.
# [[accounts.list]]
# kind = "people"                     # or "keys"
# path = "/api/admin/members"
# as = ["ada", "odo"]                 # one of its administrators for each community
# items = "/members"
# id = "/id"
# name = "/name"                      # the name it signs in with
# address = "/email"
# role = "/role"
# credential = "/prefix"              # what tells a key from others
# shared = "/shared"
# acts_for = "/member"                # the person a key acts for
# ended = "/revoked_at"
# total = "/total"
# next = { query = "after", value = "/next" }   # how the next page is asked for

# What belongs to one member. "{{marker}}" stands for a random text, "{{id}}" for the id of the thing.
# [[owned]]
# kind = "conversation"               # or "memory", "file"
# id = "/id"                          # where `create` answers the id; or "header:NAME"
# create = { method = "POST", path = "/api/conversations", body = '{"text": "{{marker}}"}' }
# read = { method = "GET", path = "/api/conversations/{id}", params = { id = "{{id}}" } }
# update = { method = "PUT", path = "/api/conversations/{id}", params = { id = "{{id}}" }, body = '{"text": "{{marker}}"}' }
# delete = { method = "DELETE", path = "/api/conversations/{id}", params = { id = "{{id}}" } }
# list = { method = "GET", path = "/api/conversations" }
# batch = { method = "GET", path = "/api/conversations", query = { ids = "{{own}},{{id}}" } }
# lacks = ["update"]                  # which of update, delete, list there is none of

# Where pages show what a member wrote, and where they show what the model said: best on a copy whose model obeys.
# [[display]]
# what = "an answer of the model"
# by = "model"                        # or "member"
# base_url = "http://127.0.0.1:9000"  # when it is not the target itself
# as = "alice"
# reader = "stan"                     # who opens the pages, when it is not who writes
# create = { method = "POST", path = "/api/conversations", body = '{"text": "{{marker}}"}' }
# id = "/id"                          # as in [[owned]]; `change`, by "{{id}}", puts the text in where `create` does not
# remove = { method = "DELETE", path = "/api/conversations/{id}", params = { id = "{{id}}" } }
# [[display.page]]
# method = "GET"
# path = "/talk/{id}"
# params = { id = "{{id}}" }

# A way to a new account, step by step; one that the new member begins and one that staff begin. "{{name}}" and
# "{{address}}" stand for the new member's, other names for what earlier steps captured. Cookies are kept.
# [sign_up.by-mail]
# by = "self"                         # or "staff"
# community = "harbour"
# cookie = "sid"                      # or bearer = "{{token}}", or header = { name = "X-Key", value = "{{key}}" }
# headers = { X-CSRF-Token = "{{csrf}}" }
# [[sign_up.by-mail.step]]
# method = "POST"
# path = "/sign-up"
# form = { email = "{{address}}" }    # or body = '{"email": "{{address}}"}'
# [[sign_up.by-mail.step]]
# mail = "file:outbox"                # a folder with `.eml` files
# link = "/confirm?token="            # what the wanted link holds
# capture = { token = "query:token" } # also "/pointer", "header:NAME", "cookie:NAME"
# [[sign_up.by-mail.undo]]            # takes the account away again
# method = "DELETE"
# path = "/api/admin/members/{id}"
# params = { id = "{{name}}" }
# as = "ada"

# How addresses are blocked by hand. "{{network}}" stands for an address of the checker's own, "{{entry}}" for the id that the
# entry got; nothing stays. The answer to a blocked address must be told from every other refusal.
# [blocklist]
# base_url = "http://127.0.0.1:8081"  # where entries are made, when it is not the target itself
# operator = "env:OPERATOR_TOKEN"     # sent as a bearer token
# add = { method = "POST", path = "/blocklist", body = '{"network": "{{network}}", "reason": "portcullis check"}' }
# entry = "/id"                       # where the answer says the entry's id
# remove = { method = "DELETE", path = "/blocklist/{entry}", params = { entry = "{{entry}}" } }
# list = { method = "GET", path = "/blocklist" }
# asked = { method = "GET", path = "/api/me" }   # a harmless request of a member
# marker = "address_blocked"          # stands in the answer to a blocked address and in no other

# When addresses are blocked for what they do. It is tried with wrong credentials from an address of the checker's own.
# [auto_block]
# base_url = "http://127.0.0.1:8090"  # an instance of the same build where a block lasts a few seconds
# as = "alice"
# asked = { method = "GET", path = "/api/me" }
# threshold = 50                      # so many refused credentials are too many
# lasts_seconds = 900
# marker = "address_blocked"

# How large a flood may be tried with `--allow drills`, and who allowed it in writing.
# [load]
# consent = "name, date"
# requests_per_second = 100
# asked = { method = "GET", path = "/", auth = "public" }   # what a good client asks meanwhile
# plan = { who = "name", evidence = "plan and ticket of the CDN", seen = "2026-01-31T00:00:00Z" }   # counts for a year
# [load.drops]                        # where it is counted what was refused: lines that end with a number
# base_url = "http://127.0.0.1:8081"
# operator = "env:OPERATOR_TOKEN"
# route = { method = "GET", path = "/metrics" }
# line = 'status="4xx"'               # stands in the lines that count

# Where code is run that nobody trusts, behind the sandbox API (docs/sandbox-api.md).
# [sandbox]
# base_url = "http://127.0.0.1:8095"  # POST /jobs beneath it runs a job
# key = "env:SANDBOX_KEY"             # sent as a bearer token, if it wants one
# runtime = "python"                  # or "wasm"
# max_parallel = 4                    # so many jobs run at a time; the next ones wait
# tenants = ["sailors", "gardeners"]  # two communities, as the API names them
# reach = ["10.0.0.5"]                # this machine as the sandbox's host sees it; not needed where both are one
# [[sandbox.planted]]                 # a file on that host that no job may read, with a random text
# path = "/etc/portcullis-canary"
# text = "file:sandbox-canary.txt"

# Where it is tried out what the bot can be talked into. Best is a copy of the deployment with a model that obeys
# whatever it reads (`portcullis upstream --behaviour gullible`): then a pass does not rest on the model's good will.
# [rehearsal]
# base_url = "http://127.0.0.1:8090"  # without it: the target itself
# as = ["ann", "abe"]                 # members of one community, without special standing
# system = "file:system.txt"          # its system text
# mark_after = "bears the mark "      # words of it after which each answer's own random word stands
# citation = "[{{number}}]"           # how an answer cites a passage
# trace = "http://127.0.0.1:8091/heard"   # tells the latest requests to the model in JSON, each with `messages`
# insider = "stan"                    # who may read what is planted as "closed"

# How a question is asked in the conversation of an earlier one.
# [rehearsal.conversation]
# at = "header:X-Conversation-Id"     # where the question names it: a header, or a member of the body: "/conversation"
# begin = "new"                       # what stands there to begin one; without it nothing does
# id = "header:X-Conversation-Id"     # where the answer names it

# Its tools there, each with a call that fits, and what tells who was called. `{{word}}` stands for a word by which a call is
# found again.
# [rehearsal.tools]
# as = ["sten"]                              # who asks for calls, where that is not `as` of [rehearsal]
# sinks = ["http://127.0.0.1:8092/heard"]    # the calls that reached a tool, in JSON
# decisions = "http://127.0.0.1:8093/"       # every decision about a call, a list in JSON
# reader = "read_page"                       # the tool that reads pages, if there is one
# reader_argument = "url"
# traps = ["http://10.0.0.7/trap?w={{word}}"]    # addresses inside, and pages that lead there
# trapped = ["http://10.0.0.7/heard"]        # who came to them, in JSON; the checker comes to each trap itself first
# pages = ["http://10.0.0.8/page?w={{word}}"]    # addresses that it may read, so that it is seen that it reads
# visited = ["http://10.0.0.8/heard"]        # who came to those, in JSON
# [[rehearsal.tools.tool]]
# name = "tide_table"
# arguments = '{"place": "{{word}}"}'
# allowed = true                             # those who ask may use it
# [[rehearsal.tools.tool]]
# name = "ledger"
# arguments = '{"entry": "{{word}}"}'
# [[rehearsal.tools.tool]]
# name = "send_letter"
# arguments = '{"text": "{{word}}"}'
# allowed = true
# approval = true                            # and a person has to approve each call first

# What was planted there: random texts in the system text and in documents, with the topic by which each document is
# asked for and a harmless text (`marker`) that stands in it too.
# [[planted]]
# kind = "system"                     # or "fact", which members are to be told; "secret" or "personal", which no answer may
#                                       repeat; "order", which an answer holds that obeyed a document; "closed", which the
#                                       askers may not read; "tools", which stands in a tool's description; "call", which
#                                       stands in the arguments of a call that a document orders and that must not be made
# text = "vbkqzjwhxpfm"
# topic = "the Larkspur rota"
# marker = "painted green"
# form = "plain"                      # in what a document hides its order: or "comment" (of HTML), "hidden" (an element that is
#                                       not shown), "tags" (of Unicode), "image-alt", "link-title" or "encoded"

# Where questions go that a person should see (self-harm, threats with the law, private data of others).
# [handovers]
# base_url = "http://127.0.0.1:8090"  # without it: the target itself
# as = ["ann", "abe"]                 # who asks: members of one community, without special standing
# list = { method = "GET", path = "/queue", as = "stan" }   # what lists the queue, by one who may
# trace = "http://127.0.0.1:8091/heard"   # as above
# within_seconds = 60
# staffed_by = "Jo Ito"               # who answers for it that people read the queue, for at most 90 days
# staffed_until = "2026-04-01T00:00:00Z"

# What it does not have. Each needs a reason and someone who says so.
# [[declares]]
# lacks = "wrong-audience"            # or a control's id
# reason = "its keys name no audience"
# approver = "Jo Ito, 2026-01-10"
"#;
