//! Roles, what each may do, and the accounts that have them.

use std::collections::{BTreeMap, BTreeSet};

use ring::digest::{SHA256, digest};

use super::{Identity, Route, Target};

/// Roles, permissions, and where the target says what it knows about both.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    /// The roles, the least first.
    pub order: Vec<String>,
    /// The roles that count as administrators.
    pub admins: Vec<String>,
    /// Paths under which nothing is for the least role.
    pub admin_paths: Vec<String>,
    /// Who may do what, as somebody signed it.
    pub declared: Option<Declared>,
    /// Where the running target says who may do what.
    pub system: Option<SystemMatrix>,
    /// Requests that exercise a permission, beside the routes that name one.
    pub exercises: Vec<Exercise>,
    /// Where somebody is told what they are and may.
    pub own: Option<OwnStanding>,
}

/// Permissions by role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matrix(pub BTreeMap<String, BTreeSet<String>>);

impl Matrix {
    /// Whether the role may do that.
    pub fn allows(&self, role: &str, permission: &str) -> bool {
        self.0.get(role).is_some_and(|held| held.contains(permission))
    }

    /// Every permission that some role has.
    pub fn permissions(&self) -> BTreeSet<&str> {
        self.0.values().flatten().map(String::as_str).collect()
    }

    /// The matrix in a declared file: a table `[roles]` with a list of permissions for each role.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            roles: BTreeMap<String, BTreeSet<String>>,
        }
        let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if file.roles.values().all(BTreeSet::is_empty) {
            return Err("no role in it has a permission".to_owned());
        }
        Ok(Self(file.roles))
    }
}

/// A copy of the matrix that somebody signed.
#[derive(Debug, Clone)]
pub struct Declared {
    /// What it says.
    pub matrix: Matrix,
    /// Where it is: what a fix names.
    pub origin: String,
    /// SHA-256 of the file as it is, in lower-case hex.
    pub sha256: String,
    /// SHA-256 of the file as it was signed, in hex.
    pub signed_sha256: String,
    /// Who signed it, and when.
    pub signed_by: String,
}

impl Declared {
    /// A declared file and its signature.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn new(text: &str, origin: &str, signed_sha256: &str, signed_by: &str) -> Result<Self, String> {
        let hash = digest(&SHA256, text.as_bytes());
        Ok(Self {
            matrix: Matrix::parse(text)?,
            origin: origin.to_owned(),
            sha256: hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
            signed_sha256: signed_sha256.to_owned(),
            signed_by: signed_by.to_owned(),
        })
    }

    /// Whether the file is the one that was signed.
    pub fn is_the_signed_one(&self) -> bool {
        self.sha256.eq_ignore_ascii_case(&self.signed_sha256)
    }
}

/// Where the running target says who may do what.
#[derive(Debug, Clone)]
pub struct SystemMatrix {
    /// The request.
    pub route: Route,
    /// JSON pointer to the roles: a list, or an object whose names are the roles.
    pub roles: String,
    /// In an item of the list: pointer to the role's name.
    pub role: String,
    /// In an item of the list: pointer to its permissions.
    pub permissions: String,
    /// Pointer to a list of routes that name permissions, if the answer has one.
    pub routes: Option<String>,
    /// In an item of that list: pointer to the permission.
    pub permission: String,
}

/// A request that exercises a permission.
#[derive(Debug, Clone)]
pub struct Exercise {
    /// The permission.
    pub permission: String,
    /// The request.
    pub route: Route,
}

/// Where somebody is told what they are.
#[derive(Debug, Clone)]
pub struct OwnStanding {
    /// The request.
    pub route: Route,
    /// Pointer to their role.
    pub role: String,
    /// Pointer to their permissions, if the answer has them.
    pub permissions: Option<String>,
}

impl Roles {
    /// The least role.
    pub fn least(&self) -> Option<&str> {
        self.order.first().map(String::as_str)
    }

    /// Whether a path belongs to the admin plane.
    pub fn is_admin_path(&self, path: &str) -> bool {
        self.admin_paths.iter().any(|prefix| {
            let prefix = prefix.trim_end_matches('/');
            path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
        })
    }
}

impl Target {
    /// Everything that exercises a permission: the routes that name one, and what `[[permission]]` adds.
    pub fn exercises(&self) -> Vec<Exercise> {
        let of_routes = self.routes().into_iter().filter_map(|route| {
            let asks = route.is_same(&self.chat.route);
            // What a document says about the chat is kept beside what the target file says.
            let listed = self.inventory.routes.iter().filter(|listed| asks && listed.is_same(route));
            let named = std::iter::once(route).chain(listed).find_map(|route| route.permission.clone());
            let route = if asks { self.chat.asking(&self.tenancy.question) } else { route.clone() };
            Some(Exercise { permission: named?, route })
        });
        of_routes.chain(self.roles.exercises.iter().cloned()).collect()
    }

    /// Working identities of a role that are not set aside for rate limits.
    pub fn with_role<'a>(&'a self, role: &str) -> Vec<&'a Identity> {
        let all = self.valid().into_iter().filter(|identity| identity.purpose == super::Purpose::Any);
        all.filter(|identity| identity.role == role).collect()
    }
}

/// The accounts of a deployment: where they are listed, and how many of them may be administrators.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// The most administrators of one community, service keys included.
    pub admins_at_most: Option<usize>,
    /// Where accounts are listed.
    pub lists: Vec<AccountList>,
}

/// Whose accounts a list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccountKind {
    /// People.
    People,
    /// Keys of programs and services.
    Keys,
}

/// A list of accounts. What stands in an item is named by JSON pointers into it.
#[derive(Debug, Clone)]
pub struct AccountList {
    /// Whose.
    pub kind: AccountKind,
    /// The request.
    pub route: Route,
    /// The identities that may read it, one for each community.
    pub askers: Vec<String>,
    /// Pointer to the list.
    pub items: String,
    /// An item's id.
    pub id: String,
    /// The name it signs in with, if it has one.
    pub name: Option<String>,
    /// Its address, if it has one.
    pub address: Option<String>,
    /// Its role. A key without one has the role of whom it acts for.
    pub role: Option<String>,
    /// What tells its credential from others: a prefix or a fingerprint.
    pub credential: Option<String>,
    /// Whether it is shared: `true`, or a list with more than one.
    pub shared: Option<String>,
    /// The id of the person that a key acts for.
    pub acts_for: Option<String>,
    /// When it ended; an item where that is neither absent nor null is not an account any more.
    pub ended: Option<String>,
    /// The query parameter that asks for the next page, and the pointer to its value in an answer.
    pub next: Option<(String, String)>,
    /// Pointer to the number of all accounts, if the answer has it.
    pub total: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::{Declared, Matrix, Roles};

    #[test]
    fn a_declared_matrix_says_who_may_do_what_and_nothing_else() {
        let matrix = Matrix::parse("[roles]\nmember = [\"ask\"]\nadmin = [\"ask\", \"ban\"]\n").unwrap();
        assert!(matrix.allows("admin", "ban") && !matrix.allows("member", "ban"));
        assert!(!matrix.allows("nobody", "ask"));
        assert_eq!(matrix.permissions().into_iter().collect::<Vec<_>>(), ["ask", "ban"]);
        for wrong in
            ["", "[roles]\n", "[roles]\nmember = []\n", "[rules]\nmember = [\"ask\"]\n", "[roles]\nx = 1\n"]
        {
            assert!(Matrix::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_changed_byte_makes_another_file_of_it() {
        let text = "[roles]\nmember = [\"ask\"]\n";
        let first = Declared::new(text, "file:roles.toml", "", "Jo Ito").unwrap();
        assert!(!first.is_the_signed_one());
        let signed = Declared::new(text, "file:roles.toml", &first.sha256.to_uppercase(), "Jo Ito").unwrap();
        assert!(signed.is_the_signed_one());
        let changed = text.replace("ask", "task");
        assert!(
            !Declared::new(&changed, "file:roles.toml", &first.sha256, "Jo Ito").unwrap().is_the_signed_one()
        );
    }

    #[test]
    fn an_admin_path_ends_where_a_segment_ends() {
        let roles = Roles { admin_paths: vec!["/admin".to_owned()], ..Roles::default() };
        assert!(roles.is_admin_path("/admin") && roles.is_admin_path("/admin/members"));
        assert!(!roles.is_admin_path("/administer") && !roles.is_admin_path("/v1/admin"));
    }
}
