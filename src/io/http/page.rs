//! The page for people: a few files that are part of the program. They hold nothing that is known of the users; the page
//! asks for that as anybody does.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

use super::Door;

const HTML: &str = include_str!("page/page.html");
const SCRIPT: &str = include_str!("page/page.js");
const STYLE: &str = include_str!("page/page.css");
const ICON: &str = include_str!("page/icon.svg");

pub(super) fn add_to(router: Router<Door>) -> Router<Door> {
    let file = |content_type: &'static str, text: &'static str| {
        get(move || async move {
            // After an update the page must fit the program.
            let headers = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-cache")];
            (headers, text).into_response()
        })
    };
    router
        .route("/", file("text/html; charset=utf-8", HTML))
        .route("/page.js", file("text/javascript; charset=utf-8", SCRIPT))
        .route("/page.css", file("text/css; charset=utf-8", STYLE))
        .route("/icon.svg", file("image/svg+xml", ICON))
}
