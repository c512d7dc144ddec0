//! The live page at `/`: its files, embedded in the program.
//!
//! The page uses nothing from elsewhere, and its policy forbids that (`POLICY`). It gets its data from the feed at
//! `/api/feed` and from the API.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, EntityTag, Header, IfNoneMatch,
        REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
    web,
};
use ring::digest::{SHA256, digest};

use super::routes::page;

/// What the page may load and do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// A file of the page.
struct File {
    path: &'static str,
    kind: &'static str,
    content: &'static str,
}

macro_rules! file {
    ($path:literal, $kind:literal) => {
        File { path: concat!("/page/", $path), kind: $kind, content: include_str!(concat!("page/", $path)) }
    };
}

const HTML: &str = "text/html; charset=utf-8";

/// The files of the page. Browsers load the scripts as modules, which name each other by relative addresses.
static FILES: &[File] = &[
    File { path: "/", kind: HTML, content: include_str!("page/index.html") },
    file!("page.css", "text/css; charset=utf-8"),
    file!("theme.js", "text/javascript; charset=utf-8"),
    file!("page.js", "text/javascript; charset=utf-8"),
    file!("actions.js", "text/javascript; charset=utf-8"),
    file!("api.js", "text/javascript; charset=utf-8"),
    file!("charts.js", "text/javascript; charset=utf-8"),
    file!("dom.js", "text/javascript; charset=utf-8"),
    file!("store.js", "text/javascript; charset=utf-8"),
    file!("words.js", "text/javascript; charset=utf-8"),
    file!("views/errors.js", "text/javascript; charset=utf-8"),
    file!("views/event.js", "text/javascript; charset=utf-8"),
    file!("views/graph.js", "text/javascript; charset=utf-8"),
    file!("views/overview.js", "text/javascript; charset=utf-8"),
    file!("views/reloads.js", "text/javascript; charset=utf-8"),
    file!("views/session.js", "text/javascript; charset=utf-8"),
    file!("views/sessions.js", "text/javascript; charset=utf-8"),
    file!("views/tree.js", "text/javascript; charset=utf-8"),
    file!("views/upstreams.js", "text/javascript; charset=utf-8"),
];

/// Adds the files of the page.
pub(super) fn configure(routes: &mut web::ServiceConfig) {
    for file in FILES {
        let tag = tag(file.content);
        routes.service(page(file.path, move |request: HttpRequest| {
            let answer = answer(file, &tag, &request);
            async move { answer }
        }));
    }
}

/// The answer to a request: the file, or 304 if the browser has it. The browser asks each time, so that a newer
/// program is never used with older scripts.
fn answer(file: &File, tag: &EntityTag, request: &HttpRequest) -> HttpResponse {
    let is_known = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        Err(_) => false,
    };
    let mut answer = match is_known {
        true => HttpResponse::NotModified(),
        false => HttpResponse::Ok(),
    };
    answer
        .insert_header((CONTENT_TYPE, file.kind))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((ETAG, tag.to_string()));
    if is_known { answer.finish() } else { answer.body(file.content) }
}

/// Identifies a content.
fn tag(content: &str) -> EntityTag {
    let digest = digest(&SHA256, content.as_bytes());
    EntityTag::new_strong(digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use actix_web::{
        App,
        http::{StatusCode, header::IF_NONE_MATCH},
        test::{TestRequest, call_service, init_service, read_body},
    };

    use super::*;

    fn on_disk(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => on_disk(&path, found),
                false => drop(found.insert(fs::read_to_string(path).unwrap())),
            }
        }
    }

    #[test]
    fn each_file_of_the_folder_is_embedded() {
        let mut found = BTreeSet::new();
        on_disk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/page"), &mut found);
        let embedded: BTreeSet<_> = FILES.iter().map(|file| file.content.to_owned()).collect();
        assert!(embedded == found, "FILES and the folder differ: {} and {}", embedded.len(), found.len());
    }

    #[test]
    fn no_script_writes_markup_or_loads_from_elsewhere() {
        let unsafe_words = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "style=",
        ];
        for file in FILES {
            for word in unsafe_words {
                assert!(!file.content.contains(word), "{}: {word}", file.path);
            }
            let addresses = file.content.match_indices("http").filter(|(at, _)| {
                let rest = &file.content[*at..];
                let is_address = rest.starts_with("http://") || rest.starts_with("https://");
                is_address && !rest.starts_with("http://www.w3.org/2000/svg")
            });
            assert_eq!(addresses.count(), 0, "{}", file.path);
        }
    }

    #[actix::test]
    async fn a_browser_that_has_a_file_gets_304() {
        let app = init_service(App::new().configure(configure)).await;
        let first = call_service(&app, TestRequest::get().uri("/").to_request()).await;
        let header = |name: &actix_web::http::header::HeaderName| {
            first.headers().get(name).unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(header(&CONTENT_TYPE), HTML);
        assert_eq!(header(&CONTENT_SECURITY_POLICY), POLICY);
        assert_eq!(header(&REFERRER_POLICY), "no-referrer");
        assert_eq!(header(&X_CONTENT_TYPE_OPTIONS), "nosniff");
        let tag = header(&ETAG);
        let again = TestRequest::get().uri("/").insert_header((IF_NONE_MATCH, tag)).to_request();
        assert_eq!(call_service(&app, again).await.status(), StatusCode::NOT_MODIFIED);
        let other =
            TestRequest::get().uri("/page/page.js").insert_header((IF_NONE_MATCH, "\"x\"")).to_request();
        let answer = call_service(&app, other).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(read_body(answer).await.starts_with(b"// The page"));
    }
}
