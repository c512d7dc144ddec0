//! `json-rpc`: subscriptions over [JSON-RPC 2.0](https://www.jsonrpc.org/specification), with the method names of
//! Ethereum, Substrate and Solana.
//!
//! | kind | from | message | specification |
//! |---|---|---|---|
//! | open | client | `{"id":1,"method":"eth_subscribe","params":["newHeads"]}` | Ethereum, pub/sub |
//! | answer | upstream | `{"id":1,"result":"0x9c"}`, `0x9c` is the subscription's id | JSON-RPC, section 5 |
//! | refused | upstream | `{"id":1,"error":{"code":-32000,"message":"…"}}` | JSON-RPC, section 5.1 |
//! | data | upstream | `{"method":"eth_subscription","params":{"subscription":"0x9c","result":{…}}}` | Ethereum, pub/sub |
//! | ended | upstream | `{"method":"author_extrinsicUpdate","params":{"subscription":"w","result":{"finalized":"0x…"}}}` | Substrate, `author` |
//! | close | client | `{"id":2,"method":"eth_unsubscribe","params":["0x9c"]}` | Ethereum, pub/sub |
//! | request | client | any other message with an `id` and a `method` | JSON-RPC, section 4 |
//!
//! Messages may be batches (JSON-RPC, section 6). The upstream assigns a new id on each connection, so that ids are
//! mapped in data and in `close`. The replay uses request ids such as `"towline-3-1"`. A request in flight at a loss
//! gets `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"…"}}` and is never sent again. The same holds for
//! `author_submitAndWatchExtrinsic` and `signatureSubscribe`, whose ids are mapped until the connection is lost.

use bytes::Bytes;

use crate::{
    json::{Pattern, PatternError, Patterns, Rules, Test},
    kind::{Dialect, quoted, text},
};

/// Methods that open a subscription, each with the one that ends it.
const METHODS: [(&str, &str); 23] = [
    // Ethereum: https://geth.ethereum.org/docs/interacting-with-geth/rpc/pubsub
    ("eth_subscribe", "eth_unsubscribe"),
    ("parity_subscribe", "parity_unsubscribe"),
    // Substrate: methods of sc-rpc-api
    ("chain_subscribeAllHeads", "chain_unsubscribeAllHeads"),
    ("chain_subscribeNewHeads", "chain_unsubscribeNewHeads"),
    ("chain_subscribeNewHead", "chain_unsubscribeNewHead"),
    ("subscribe_newHead", "unsubscribe_newHead"),
    ("chain_subscribeFinalizedHeads", "chain_unsubscribeFinalizedHeads"),
    ("chain_subscribeFinalisedHeads", "chain_unsubscribeFinalisedHeads"),
    ("state_subscribeRuntimeVersion", "state_unsubscribeRuntimeVersion"),
    ("chain_subscribeRuntimeVersion", "chain_unsubscribeRuntimeVersion"),
    ("state_subscribeStorage", "state_unsubscribeStorage"),
    ("grandpa_subscribeJustifications", "grandpa_unsubscribeJustifications"),
    ("beefy_subscribeJustifications", "beefy_unsubscribeJustifications"),
    ("mmr_subscribe", "mmr_unsubscribe"),
    // Solana: https://solana.com/docs/rpc/websocket
    ("accountSubscribe", "accountUnsubscribe"),
    ("blockSubscribe", "blockUnsubscribe"),
    ("logsSubscribe", "logsUnsubscribe"),
    ("programSubscribe", "programUnsubscribe"),
    ("rootSubscribe", "rootUnsubscribe"),
    ("slotSubscribe", "slotUnsubscribe"),
    ("slotsUpdatesSubscribe", "slotsUpdatesUnsubscribe"),
    ("transactionSubscribe", "transactionUnsubscribe"),
    ("voteSubscribe", "voteUnsubscribe"),
];

/// Methods that open a subscription and have an effect, or report one transaction.
const ONCE: [(&str, &str); 2] = [
    ("author_submitAndWatchExtrinsic", "author_unwatchExtrinsic"),
    ("signatureSubscribe", "signatureUnsubscribe"),
];

/// `more`: further methods that open a subscription, each with the one that ends it.
pub(super) fn rules(more: &[(String, String)]) -> Result<Rules, PatternError> {
    let own = METHODS.iter().map(|(open, close)| (*open, *close));
    let more = more.iter().map(|(open, close)| (open.as_str(), close.as_str()));
    let (opens, closes): (Vec<_>, Vec<_>) = own.chain(more).unzip();
    let (once, once_closes): (Vec<_>, Vec<_>) = ONCE.into_iter().unzip();
    let method =
        |names| Pattern::when("method", names).and("id", Test::Present).request("id").context(["id"]);
    let open = method(Test::one_of(opens)).key("params");
    let once = method(Test::one_of(once)).key("params").once();
    let close = method(Test::one_of(closes.into_iter().chain(once_closes))).id("params.0");
    let answer = Pattern::when("id", Test::Present).and("method", Test::Absent).request("id");
    let data = Pattern::when("params.subscription", Test::Present).and("id", Test::Absent);
    let patterns = Patterns {
        open: [open, once].into(),
        close: [close].into(),
        request: [method(Test::Present)].into(),
        refused: [answer.clone().and("error", Test::Present)].into(),
        answer: [answer.id("result")].into(),
        ended: ended(),
        data: [data.id("params.subscription")].into(),
        ..Patterns::default()
    };
    let dialect = Dialect { failed: error, closed, own_requests: true, ..Dialect::PLAIN };
    Ok(Rules::new(&patterns, dialect)?.with_batches())
}

/// The last message about a transaction, after which the upstream forgets the subscription.
fn ended() -> Box<[Pattern]> {
    let of = |method| Pattern::when("method", Test::is(method)).id("params.subscription");
    let extrinsic = || of("author_extrinsicUpdate");
    // Solana's first message may be the text `receivedSignature`; the last one is an object with `err`.
    let mut ended = vec![of("signatureNotification").and("params.result.value.err", Test::Exists)];
    ended.push(extrinsic().and("params.result", Test::one_of(["dropped", "invalid"])));
    let finals = ["params.result.finalized", "params.result.finalityTimeout", "params.result.usurped"];
    ended.extend(finals.map(|path| extrinsic().and(path, Test::Exists)));
    ended.into()
}

fn error(context: &[Bytes], reason: &str) -> Option<String> {
    let (id, reason) = (text(context.first()?), quoted(reason));
    Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32000,"message":{reason}}}}}"#))
}

fn closed(context: &[Bytes]) -> Option<String> {
    Some(format!(r#"{{"jsonrpc":"2.0","id":{},"result":true}}"#, text(context.first()?)))
}
