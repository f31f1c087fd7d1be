//! Tokens.

use super::{Answers, Operation, Row, Takes, Verb, get};

pub(super) const ROWS: &[Row] = &[Row {
    verb: Verb::Post,
    tag: "authentication",
    summary: "An access token for client credentials. Valid for 6 h; ask again then.",
    takes: Takes::TokenForm,
    answers: Answers::One("Token"),
    errors: &[400, 401, 408, 413, 415, 429],
    takes_token: false,
    ..get(Operation::Token, "token", &["/authentication/v1.0/oauth/token"])
}];
