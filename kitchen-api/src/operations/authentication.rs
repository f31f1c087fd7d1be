//! Tokens, and how a merchant's owner authorises a distributed application.

use super::{Answers, Document, Operation, Row, Takes, Verb, get, query};

const fn open(operation: Operation, id: &'static str, paths: &'static [&'static str]) -> Row {
    Row { tag: "authentication", takes_token: false, ..get(operation, id, paths) }
}

pub(super) const ROWS: &[Row] = &[
    Row {
        verb: Verb::Post,
        summary: "An access token, valid for 6 h: for client credentials, an authorization code or a refresh token.",
        takes: Takes::Form("TokenForm"),
        answers: Answers::One("Token"),
        errors: &[400, 401, 408, 413, 415, 429],
        ..open(Operation::Token, "token", &["/authentication/v1.0/oauth/token"])
    },
    Row {
        verb: Verb::Post,
        summary: "Begins the authorisation of a distributed application: a code for the merchant's owner, valid for 10 min.",
        takes: Takes::Form("UserCodeForm"),
        answers: Answers::One("UserCode"),
        errors: &[400, 401, 408, 413, 415, 429],
        ..open(Operation::UserCode, "user_code", &["/authentication/v1.0/oauth/userCode"])
    },
    Row {
        document: Document::Comanda,
        summary: "The page on which a merchant's owner authorises an application; for people.",
        answers: Answers::Page,
        parameters: &[query("c", "Fills in the user code.")],
        ..open(Operation::ActivationPage, "activation_page", &["/activate"])
    },
    Row {
        document: Document::Comanda,
        verb: Verb::Post,
        summary: "Sends that page's form: shows the authorization code, valid for 5 min, or what is wrong.",
        takes: Takes::Form("ActivationForm"),
        answers: Answers::Page,
        errors: &[400, 403, 408, 413, 415, 429],
        ..open(Operation::Activate, "activate", &["/activate"])
    },
];
