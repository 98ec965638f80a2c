//! A Kubernetes API server, version 1.36.
//!
//! | room | what it holds |
//! |---|---|
//! | [`api`] | a request in, an answer out |
//! | [`auth`] | who asks, and what they may |
//! | [`serve`] | the API over HTTP and TLS |
//! | [`discovery`], `swagger` | what the server says of itself; its OpenAPI document of version 2 |
//! | [`read`], [`watch`], [`table`] | one object, lists, changes, tables |
//! | [`write`], `accept`, `patch`, [`scale`] | create, update, patch; what is taken of what was sent |
//! | [`bind`], [`service`] | a pod gets its node, a service its address and ports |
//! | `admission` | what is refused or filled in, between reading and storing |
//! | `house`, `contents`, `owners` | deleting, and what goes along: contents, and what was owned |
//! | `follow`, [`rules`], `immutable` | what controllers do at once; what the schema does not say; what never changes |
//! | [`body`], [`protobuf`], [`request`], [`select`], [`refusal`] | what is sent, asked for, narrowed to, and why not |
//! | `options`, `names`, `dialect` | what may be asked for, what metadata may look like, how refusals write things down |
//! | [`merge`] | patches, server-side apply, and who owns which field |
//! | [`quantity`] | amounts |
//! | [`published`] | what the Kubernetes project publishes about its API: kinds, OpenAPI documents |
//! | [`schema`], [`strict`], [`defaults`] | shapes of objects; objects held against them; what is left out |
//! | [`catalog`], [`custom`] | which resources there are; custom ones |
//! | [`object`], [`store`] | what every object has; where objects lie and what has changed |

mod accept;
mod admission;
pub mod api;
pub mod auth;
pub mod bind;
pub mod body;
pub mod catalog;
mod contents;
pub mod custom;
pub mod defaults;
mod dialect;
pub mod discovery;
mod follow;
mod house;
mod immutable;
pub mod merge;
mod names;
pub mod object;
mod options;
mod owners;
mod patch;
pub mod protobuf;
pub mod published;
pub mod quantity;
pub mod read;
pub mod refusal;
pub mod request;
pub mod rules;
pub mod scale;
pub mod schema;
pub mod select;
pub mod serve;
pub mod service;
pub mod store;
pub mod strict;
mod swagger;
pub mod table;
pub mod watch;
pub mod write;

pub use api::{Answer, Api, Ask};
