//! The contract over JSON lines, so that a provider can be a program of other people.
//!
//! The program is started when it is first needed and stays for later calls. Its standard input and output carry one
//! JSON object per line, its standard error is passed to the log, and the end of its input tells it to end.
//!
//! ```text
//! → {"hello":{"contract":1,"cookie":"01J…"}}
//! ← {"welcome":{"contract":1,"cookie":"01J…","kind":"acme","version":"2.1.0"}}
//! → {"id":1,"method":"ensure","params":{"cluster":{…},"resource":"network","token":"…","epoch":4,"attempt":1,…}}
//! → {"id":2,"method":"observe","params":{…}}
//! ← {"id":1,"progress":"2 of 3 subnets"}
//! ← {"id":2,"ok":{"state":"absent"}}
//! ← {"id":1,"failure":{"code":"P0203","class":"quota","message":"…","causes":["…"],"hints":["…"]}}
//! → {"cancel":3}
//! ```
//!
//! Methods are those of [`Provider`](crate::Provider); `params` is `null` for `describe`, and the request otherwise. Replies
//! come in any order. Both sides ignore fields they do not know; a method that is not known is refused.
//!
//! | what happens | what the caller gets |
//! |---|---|
//! | the program is missing, or is none of ours | `config` P0204 |
//! | it speaks another version of the contract | `config` P0208 |
//! | it dies in mid-call (also with 137) | `retryable` P0205 for the calls under way; the next call starts it again |
//! | it does not answer in time | `retryable` P0206; the call is cancelled |
//! | it writes something else than the protocol | `bug` P0207, and it is stopped |

mod host;
mod lines;
mod live;
mod serve;
mod wire;

pub use host::{ProcessProvider, Timeouts};
pub use serve::{serve, serve_on};
