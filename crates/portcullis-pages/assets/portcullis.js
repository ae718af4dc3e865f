// The one script of the pages. It loads nothing from elsewhere, keeps nothing in the browser, and never turns text into
// markup: words are text nodes, and a finished answer, which the server has sanitised, is copied node by node from an
// allow-list. Without it the pages can be read, and nothing can be asked or changed.

const { base, login } = document.body.dataset;
const token = document.querySelector("meta[name=csrf-token]")?.content ?? "";
const by = (id) => document.getElementById(id);

// ---- What went wrong, in one sentence ----

const SENTENCES = {
  403: "You may not do that. Your access may have changed: reload the page.",
  404: "That is not here any more. Reload the page.",
  408: "That took too long. Please try again.",
  409: "The same request is still being worked on. Please wait a moment.",
  413: "That is too long. Please shorten it.",
  502: "The assistant cannot be reached at the moment. Please try again in a few minutes.",
  504: "The assistant did not answer in time. Please try again.",
};

class Problem extends Error {
  constructor(sentence, signIn = false) {
    super(sentence);
    this.signIn = signIn;
  }
}

function soon(seconds) {
  if (!(seconds > 0)) return "in a moment";
  if (seconds < 100) return seconds === 1 ? "in 1 second" : `in ${seconds} seconds`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 100 ? `in ${minutes} minutes` : `in ${Math.ceil(minutes / 60)} hours`;
}

// Errors have the shape of RFC 9457 or of OpenAI. Only for a request that we could have written better are the server's
// own words shown; they are written to be safe to show.
async function problem(response) {
  const status = response.status;
  const wait = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
  if (status === 401) return new Problem("You are signed out.", true);
  if (status === 429) return new Problem(`You asked a lot. Please try again ${soon(wait)}.`);
  if (status === 503) return new Problem(`There is too much to do just now. Please try again ${soon(wait)}.`);
  const body = await response.json().catch(() => ({}));
  // A call that waits for a person and does not stand so: the server says how it stands.
  const stands = (body?.error?.code ?? body?.code) === "approval_not_open";
  if (SENTENCES[status] && !stands) return new Problem(SENTENCES[status]);
  const detail = body?.error?.message ?? body?.detail;
  if (status < 500 && typeof detail === "string" && detail) {
    return new Problem(`${detail[0].toUpperCase()}${detail.slice(1, 300)}.`);
  }
  return new Problem("Something went wrong. Please try again.");
}

async function send(method, path, body, more = {}) {
  const headers = { "X-CSRF-Token": token, ...more.headers };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      redirect: "error",
      cache: "no-store",
      signal: more.signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Problem("The server cannot be reached. Check your connection and try again."), { unsent: true });
  }
  if (!response.ok) throw await problem(response);
  return response;
}

function show(place, error) {
  place.replaceChildren(error instanceof Problem ? error.message : "Something went wrong. Please try again.");
  if (error.signIn) {
    const link = document.createElement("a");
    link.href = login;
    link.textContent = "Sign in again";
    place.append(" ", link);
  }
}

// ---- Moments in the reader's own zone ----

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = time.textContent;
    time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}
localTimes(document);

// ---- Answers of the server as nodes ----

const ALLOWED = new Set(
  ("a bdi blockquote br code del div em h3 h4 h5 h6 hr li ol p pre small span strong sup table tbody td th thead tr ul").split(" "),
);
const CLASSES = new Set(["prose", "sources", "number"]);
// The parsed text never enters the page: it is read from an inert document, and new nodes are made.
const policy = window.trustedTypes?.createPolicy("portcullis", { createHTML: (html) => html });

function graft(from, to) {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) {
      to.append(node.data);
    } else if (node.nodeType === Node.ELEMENT_NODE && ALLOWED.has(node.localName)) {
      const copy = document.createElement(node.localName);
      const href = node.getAttribute("href");
      if (node.localName === "a" && href && (/^https?:\/\//.test(href) || href.startsWith(`${base}/documents/`))) {
        copy.href = href;
        copy.rel = "noopener noreferrer nofollow";
      }
      if (node.localName === "ol" && node.hasAttribute("start")) copy.start = node.start;
      if (CLASSES.has(node.className)) copy.className = node.className;
      if (node.getAttribute("dir") === "auto") copy.dir = "auto";
      graft(node, copy);
      to.append(copy);
    }
  }
}

function fill(place, html) {
  const inert = new DOMParser().parseFromString(policy ? policy.createHTML(html) : html, "text/html");
  place.replaceChildren();
  place.className = "body";
  graft(inert.body, place);
}

// ---- One dialog for what needs a second look or a text ----

function dialog({ title, text = "", label = "", value = "", longest = 200, ok, danger = false, act }) {
  const box = by("dialog");
  const input = by("dialog-input");
  const again = by("dialog-problem");
  const go = by("dialog-ok");
  by("dialog-title").textContent = title;
  by("dialog-text").textContent = text;
  by("dialog-text").hidden = !text;
  by("dialog-label").textContent = label;
  by("dialog-label").hidden = input.hidden = !label;
  input.value = value;
  input.maxLength = longest;
  input.required = Boolean(label);
  again.textContent = "";
  go.textContent = ok;
  go.className = danger ? "danger" : "primary";
  go.disabled = false;
  by("dialog-cancel").onclick = () => box.close();
  box.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    const typed = input.value.trim();
    if (label && !typed) return;
    go.disabled = true;
    try {
      await act(typed);
      box.close();
    } catch (error) {
      show(again, error);
      go.disabled = false;
    }
  };
  box.showModal();
  if (label) {
    input.focus();
    input.select();
  } else {
    by("dialog-cancel").focus();
  }
}

by("dialog-input")?.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    by("dialog").querySelector("form").requestSubmit();
  }
});

const one = (kind, id) => `/v1/${kind}/${encodeURIComponent(id)}`;
const leave = (path) => location.assign(path);

const DO = {
  "rename-conversation": ({ id, text }) =>
    dialog({
      title: "Rename this conversation",
      label: "Title",
      value: text ?? by("title")?.textContent.trim() ?? "",
      ok: "Rename",
      act: async (title) => {
        await send("PATCH", one("conversations", id), { title });
        location.reload();
      },
    }),
  "remove-conversation": ({ id }) =>
    dialog({
      title: "Remove this conversation?",
      text: "It is gone for good, with all its answers.",
      ok: "Remove",
      danger: true,
      act: async () => {
        await send("DELETE", one("conversations", id));
        if (by("ask")) leave(`${base}/`);
        else location.reload();
      },
    }),
  "edit-memory": ({ id, text, longest }) =>
    dialog({
      title: "Edit what is remembered",
      label: "Memory",
      value: text,
      longest: Number(longest) || 1000,
      ok: "Save",
      act: async (typed) => {
        await send("PATCH", one("memories", id), { text: typed });
        location.reload();
      },
    }),
  "remove-memory": ({ id }) =>
    dialog({
      title: "Forget this?",
      text: "It is not used in answers any more.",
      ok: "Forget",
      danger: true,
      act: async () => {
        await send("DELETE", one("memories", id));
        location.reload();
      },
    }),
  "end-session": ({ id }) =>
    dialog({
      title: "End this session?",
      text: "Whoever uses that browser must sign in again.",
      ok: "End it",
      danger: true,
      act: async () => {
        await send("DELETE", one("sessions", id));
        location.reload();
      },
    }),
  "end-all": () =>
    dialog({
      title: "Sign out everywhere?",
      text: "All your sessions end, this one too.",
      ok: "Sign out everywhere",
      danger: true,
      act: async () => {
        await send("DELETE", "/v1/sessions");
        leave(login);
      },
    }),
  // Nothing is lost by it, so it asks no second time.
  "acknowledge": async ({ id }, button) => {
    button.disabled = true;
    try {
      await send("POST", `${one("handovers", id)}/acknowledge`);
      location.reload();
    } catch (error) {
      show(by("problem"), error);
      button.disabled = false;
    }
  },
  "approve": ({ id }, button) => decide(id, "approve", button),
  "deny": ({ id }, button) => decide(id, "deny", button),
  "resume": async ({ id }, button) => {
    button.disabled = true;
    try {
      const response = await send("POST", `/v1/me/approvals/${encodeURIComponent(id)}/resume`);
      const conversation = response.headers.get("x-conversation-id");
      if (conversation) {
        location.assign(`${base}/chat/${encodeURIComponent(conversation)}`);
      } else {
        // It belongs to no conversation, so it stands here and nowhere else.
        answered(button, (await response.json()).choices?.[0]?.message?.content);
      }
    } catch (error) {
      show(by("problem"), error);
      button.disabled = false;
    }
  },
  "sign-out": async (_, button) => {
    button.disabled = true;
    try {
      await send("DELETE", "/v1/session");
      leave(login);
    } catch (error) {
      if (error.signIn) leave(login);
      show(by("problem"), error);
      button.disabled = false;
    }
  },
};

function answered(button, text) {
  const row = button.closest("li");
  row.querySelector(".answer")?.remove();
  const answer = element("div", "body plain answer", text ?? "");
  answer.dir = "auto";
  row.querySelector(".what").append(answer);
  // Whether the call came to something stands there when the page is loaded again.
  if (button.textContent === "Go on") row.querySelector(".quiet").textContent = "gone on with";
  button.textContent = "Answer again";
  button.ariaLabel = button.ariaLabel?.replace(/^Go on/, "Answer again");
  button.disabled = false;
}

// What was read is what is decided on: the page is not loaded again before that.
async function decide(id, decision, button) {
  const buttons = button.parentElement.querySelectorAll("button");
  for (const each of buttons) each.disabled = true;
  try {
    await send("POST", `${one("approvals", id)}/${decision}`);
    location.reload();
  } catch (error) {
    show(by("problem"), error);
    for (const each of buttons) each.disabled = false;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (button && Object.hasOwn(DO, button.dataset.do)) DO[button.dataset.do](button.dataset, button);
});

by("remember")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = by("memory").value.trim();
  if (!text) return;
  const button = event.target.querySelector("button");
  button.disabled = true;
  try {
    await send("POST", "/v1/memories", { text });
    location.reload();
  } catch (error) {
    show(by("problem"), error);
    button.disabled = false;
  }
});

// ---- The chat ----

// The `data:` values of a stream of events. What follows the last complete event is dropped: it is no event.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      held += value;
      const blocks = held.split(/\r?\n\r?\n/);
      held = blocks.pop();
      for (const block of blocks) {
        const data = block
          .split(/\r?\n/)
          .filter((line) => line.startsWith("data:"))
          .map((line) => line.slice(5).replace(/^ /, ""));
        if (data.length) yield data.join("\n");
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function key() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function message(who, name) {
  const item = element("li", `message ${who}`);
  item.append(element("h2", "who", name));
  by("messages").append(item);
  return item;
}

function sourceList(citations) {
  const list = element("ul");
  for (const { number, document: id, title } of citations) {
    const link = element("a");
    link.href = `${base}/documents/${encodeURIComponent(id)}`;
    link.append(element("span", "number", String(number)), element("bdi", "", String(title || "Untitled")));
    const item = element("li");
    item.append(link);
    list.append(item);
  }
  const box = element("div", "sources");
  box.append(element("h3", "", "Sources"), list);
  return box;
}

const form = by("ask");
const field = by("question");
let running = null;
let unsent = null; // A question that may not have arrived, with its key: asked again it is not answered twice.

const atEnd = () => innerHeight + scrollY > document.documentElement.scrollHeight - 160;
const toEnd = () => scrollTo({ top: document.documentElement.scrollHeight });

function working(on) {
  by("send").hidden = on;
  by("stop").hidden = !on;
  by("status").textContent = on ? "The answer is being written." : "";
}

function keep(id) {
  if (!/^[0-9a-f-]{36}$/.test(id ?? "") || form.dataset.conversation === id) return;
  form.dataset.conversation = id;
  history.replaceState(null, "", `${base}/chat/${id}`);
  for (const button of by("actions").querySelectorAll("button")) button.dataset.id = id;
  by("actions").hidden = false;
}

// A conversation that has just begun, in the list beside it.
function list(id, title) {
  const place = document.querySelector(".recent");
  place.querySelector("p")?.remove();
  place.querySelector("a[aria-current]")?.removeAttribute("aria-current");
  if (!place.querySelector("ul")) place.append(element("ul"));
  const link = element("a");
  link.href = `${base}/chat/${id}`;
  link.ariaCurrent = "page";
  link.append(element("bdi", "", title));
  const item = element("li");
  item.append(link);
  place.querySelector("ul").prepend(item);
}

async function ask(text) {
  const follow = atEnd();
  by("problem").replaceChildren();
  const first = !form.dataset.conversation;
  by("welcome")?.remove();
  const mine = message("member", "You");
  const said = element("div", "said", text);
  said.dir = "auto";
  mine.append(said);
  const item = message("assistant", "Assistant");
  // Read aloud when it is complete, not piece by piece.
  item.ariaBusy = "true";
  const body = element("div", "body plain waiting");
  body.dir = "auto";
  const words = document.createTextNode("");
  body.append(words);
  item.append(body);
  toEnd();

  const abort = new AbortController();
  running = abort;
  working(true);
  const question = unsent?.text === text ? unsent : { text, key: key() };
  unsent = null;
  let begun = false;
  let complete = false;
  let citations = [];
  let why = "This answer was interrupted and is not complete.";
  try {
    const response = await send(
      "POST",
      "/v1/chat/completions",
      { model: form.dataset.model, stream: true, messages: [{ role: "user", content: text }] },
      {
        signal: abort.signal,
        headers: {
          Accept: "text/event-stream",
          "Idempotency-Key": question.key,
          "X-Conversation-Id": form.dataset.conversation || "new",
        },
      },
    );
    begun = true;
    keep(response.headers.get("x-conversation-id"));
    for await (const data of events(response.body)) {
      if (data === "[DONE]") {
        complete = true;
        break;
      }
      const frame = JSON.parse(data);
      if (frame.error) {
        if (frame.error.code === "access_ended") why += " Your access has ended.";
        break;
      }
      if (Array.isArray(frame.citations)) citations = frame.citations;
      const piece = frame.choices?.[0]?.delta?.content;
      if (typeof piece === "string" && piece) {
        const stay = atEnd();
        words.appendData(piece);
        if (stay) toEnd();
      }
    }
  } catch (error) {
    if (error.name === "AbortError") {
      why = "You stopped this answer. It is not complete and is not kept.";
      begun = true;
    } else if (!begun) {
      // Nothing was answered: the question goes back to where it was typed.
      mine.remove();
      item.remove();
      if (error.unsent) unsent = question;
      if (!field.value) field.value = text;
      show(by("problem"), error);
    }
  }
  body.classList.remove("waiting");
  if (begun && complete) {
    if (citations.length) item.append(sourceList(citations));
    if (first) {
      by("title").textContent = text.split(/\s+/).join(" ").slice(0, 80);
      document.title = document.title.replace(/^.* · /, () => `${by("title").textContent} · `);
      if (form.dataset.conversation) list(form.dataset.conversation, by("title").textContent);
    }
    await finish(item, body);
  } else if (begun) {
    item.append(element("p", "part", why));
  }
  item.ariaBusy = "false";
  running = null;
  working(false);
  by("status").textContent = complete ? "The answer is complete." : "";
  if (follow || complete) toEnd();
  field.focus();
}

// The plain text stays if the finished answer cannot be fetched: it is the same answer.
async function finish(item, body) {
  const id = form.dataset.conversation;
  if (!id) return;
  try {
    const response = await send("GET", `${base}/chat/${id}/last`);
    const html = await response.text();
    const stay = atEnd();
    fill(body, html);
    for (const extra of item.querySelectorAll(":scope > .sources")) extra.remove();
    if (stay) toEnd();
  } catch {
    // Shown as plain text.
  }
}

if (form) {
  form.hidden = false;
  by("messages").scrollHeight && toEnd();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text || running) return;
    field.value = "";
    ask(text);
  });
  field.addEventListener("keydown", (event) => {
    // An input method uses Enter to choose a word.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  by("stop").addEventListener("click", () => running?.abort());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !by("dialog").open) running?.abort();
  });
  // On a phone this would open the keyboard over the conversation.
  if (matchMedia("(hover: hover)").matches) field.focus({ preventScroll: true });
}
