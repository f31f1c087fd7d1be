//! One request of the matrix: which operation it is of, where it names what, and what it is answered. Pure.
//!
//! Whatever a request names is a token in its text, `{order}` for an order; a [`World`] says what stands there. So one case is
//! the request for an own, a foreign and an unknown order, and in any spelling.

/// What an application may see or not see by itself: each is refused as the case says.
pub const SUBJECTS: [&str; 6] = ["{merchant}", "{name}", "{order}", "{dispute}", "{delivery}", "{event}"];

/// What belongs to a merchant, and is named beside it: refused with any 4xx, where the merchant is an own one.
pub const PARTS: [&str; 11] = [
    "{catalog}",
    "{category}",
    "{empty}",
    "{item}",
    "{product}",
    "{free}",
    "{option}",
    "{batch}",
    "{interruption}",
    "{quote}",
    "{evidence}",
];

/// What stands for each token.
#[derive(Clone, Default)]
pub struct World(pub Vec<(&'static str, String)>);

impl World {
    pub fn value(&self, token: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| *known == token);
        found.unwrap_or_else(|| panic!("nothing stands for {token}")).1.as_str()
    }

    /// The same, with something else for one token.
    pub fn with(&self, token: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.0.iter_mut().filter(|(known, _)| *known == token).for_each(|(_, old)| value.clone_into(old));
        other
    }
}

/// What has to be there before an own request can succeed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    Nothing,
    /// Every part of the own catalog.
    Catalog,
    /// A dead letter of the own webhook.
    DeadLetter,
}

/// One request of one operation.
#[derive(Clone)]
pub struct Case {
    /// As the documents have it: `get /order/v1.0/orders/{id}`.
    pub operation: String,
    pub path: String,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: &'static str,
    /// What the own request is answered.
    pub own: u16,
    /// What a request with a foreign or unknown subject is answered.
    pub refused: u16,
    /// Why there is nothing foreign that it could name.
    pub names_nothing: Option<&'static str>,
    pub needs: Needs,
    /// A token whose value the own answer shows.
    pub shows: Option<&'static str>,
    /// Its own request is answered from the feed.
    pub is_of_feed: bool,
    /// Its answer has no end.
    pub is_endless: bool,
}

/// A case of `operation`, whose path's parameters name what they are called after.
pub fn case(operation: &str, own: u16) -> Case {
    let (_, path) = operation.split_once(' ').unwrap();
    let path = [
        ("/merchants/{id}", "/merchants/{merchant}"),
        ("/merchant/{id}", "/merchant/{merchant}"),
        ("/orders/{id}", "/orders/{order}"),
        ("{orderId}", "{order}"),
        ("{disputeId}", "{dispute}"),
        ("{alternativeId}", "a-1"),
        ("{eventId}", "{delivery}"),
        ("{evidenceId}", "{evidence}"),
        ("{interruptionId}", "{interruption}"),
        ("{catalogId}", "{catalog}"),
        ("{categoryId}", "{category}"),
        ("{itemId}", "{item}"),
        ("{productId}", "{product}"),
        ("{batchId}", "{batch}"),
        ("{operation}", "delivery"),
        ("{file}", "page.js"),
    ]
    .iter()
    .fold(path.to_owned(), |path, (parameter, token)| path.replace(parameter, token));
    let refused = if path.contains("{merchant}") { 403 } else { 404 };
    Case {
        operation: operation.to_owned(),
        path,
        headers: Vec::new(),
        body: "",
        own,
        refused,
        names_nothing: None,
        needs: Needs::Nothing,
        shows: None,
        is_of_feed: false,
        is_endless: false,
    }
}

impl Case {
    pub fn query(mut self, query: &str) -> Self {
        self.path = format!("{}?{query}", self.path);
        self
    }

    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn body(self, body: &'static str) -> Self {
        Self { body, ..self }
    }

    pub fn refused(self, refused: u16) -> Self {
        Self { refused, ..self }
    }

    /// Names another thing of the same kind in its path.
    pub fn naming(mut self, token: &str, other: &str) -> Self {
        self.path = self.path.replace(token, other);
        self
    }

    pub fn names_nothing(self, because: &'static str) -> Self {
        Self { names_nothing: Some(because), ..self }
    }

    pub fn needs(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }

    pub fn shows(self, token: &'static str) -> Self {
        Self { shows: Some(token), ..self }
    }

    pub fn of_feed(self) -> Self {
        Self { is_of_feed: true, ..self }
    }

    pub fn endless(self) -> Self {
        Self { is_endless: true, ..self }
    }

    /// Everything it says, for messages.
    pub fn title(&self) -> String {
        let headers: Vec<String> = self.headers.iter().map(|(name, value)| format!(" {name}: {value}")).collect();
        let (method, _) = self.operation.split_once(' ').unwrap();
        format!("{method} {}{} {}", self.path, headers.concat(), self.body)
    }

    /// Where a token stands: in the path, the query, a header or the body.
    pub fn place_of(&self, token: &str) -> Option<Place> {
        let (path, query) = self.path.split_once('?').unwrap_or((self.path.as_str(), ""));
        if path.contains(token) {
            Some(Place::Path)
        } else if query.contains(token) {
            Some(Place::Query)
        } else if self.headers.iter().any(|(_, value)| value.contains(token)) {
            Some(Place::Header)
        } else {
            self.body.contains(token).then_some(Place::Body)
        }
    }

    /// The tokens of `among` that it names.
    pub fn tokens(&self, among: &[&'static str]) -> Vec<&'static str> {
        among.iter().copied().filter(|token| self.place_of(token).is_some()).collect()
    }

    /// What is made foreign or unknown together: each token by itself, and all of them.
    pub fn variations(&self) -> Vec<Vec<&'static str>> {
        let all = [self.tokens(&SUBJECTS), self.tokens(&PARTS)].concat();
        let each = all.iter().map(|token| vec![*token]);
        let together = (all.len() > 1).then(|| all.clone());
        each.chain(together).collect()
    }

    /// The request with what `own` says, and what `other` says of `varied`.
    pub fn filled(&self, own: &World, other: &World, varied: &[&str]) -> Filled {
        let world = |token: &str| if varied.contains(&token) { other } else { own };
        let fill = |text: &str| {
            let put =
                |text: String, (token, _): &(&'static str, String)| text.replace(token, world(token).value(token));
            own.0.iter().fold(text.to_owned(), put)
        };
        let (method, _) = self.operation.split_once(' ').unwrap();
        Filled {
            method: method.to_uppercase(),
            path: fill(&self.path),
            headers: self.headers.iter().map(|(name, value)| (*name, fill(value))).collect(),
            body: fill(self.body),
            is_endless: self.is_endless,
        }
    }
}

/// Where something is named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Path,
    Query,
    Header,
    Body,
}

/// A request as it is sent.
pub struct Filled {
    pub method: String,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    pub is_endless: bool,
}
