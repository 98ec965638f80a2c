//! A Kubernetes API server, version 1.36.
//!
//! | room | what it holds |
//! |---|---|
//! | [`api`] | a request in, an answer out |
//! | [`auth`] | who asks, and what they may |
//! | [`serve`] | the API over HTTP and TLS |
//! | [`discovery`] | what the server says of itself |
//! | [`read`], [`watch`], [`table`] | one object, lists, changes, tables |
//! | [`write`], `patch`, [`scale`] | create, update, patch |
//! | [`bind`], [`service`] | a pod gets its node, a service its address and ports |
//! | `admission` | what is refused or filled in, between reading and storing |
//! | `house`, `follow`, [`rules`] | deleting and what follows; what controllers do at once; what the schema does not say |
//! | [`body`], [`protobuf`], [`request`], [`select`], [`refusal`] | what is sent, asked for, narrowed to, and why not |
//! | `options`, `names` | what may be asked for, and what metadata may look like |
//! | [`merge`] | patches, server-side apply, and who owns which field |
//! | [`quantity`] | amounts |
//! | [`published`] | what the Kubernetes project publishes about its API: kinds, OpenAPI documents |
//! | [`schema`], [`strict`], [`defaults`] | shapes of objects; objects held against them; what is left out |
//! | [`catalog`], [`custom`] | which resources there are; custom ones |
//! | [`object`], [`store`] | what every object has; where objects lie and what has changed |

mod admission;
pub mod api;
pub mod auth;
pub mod bind;
pub mod body;
pub mod catalog;
pub mod custom;
pub mod defaults;
pub mod discovery;
mod follow;
mod house;
pub mod merge;
mod names;
pub mod object;
mod options;
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
pub mod table;
pub mod watch;
pub mod write;

pub use api::{Answer, Api, Ask};
