//! Who a client is, over TLS: by certificate, by token, by neither.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{authentication::v1::SelfSubjectReview, core::v1::ConfigMap};
use kube::{
    Api, Client, Config,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use platform_sandbox::kube::{
    Api as Sandbox,
    auth::{Credential, Identity, User},
    serve::Server,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;

async fn client(kubeconfig: &SecretString) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig.expose_secret()).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("complete")).expect("a client")
}

/// The name and groups that the server knows somebody by, or the code of its refusal.
async fn known(kubeconfig: &SecretString) -> Result<(String, Vec<String>), u16> {
    let reviews: Api<SelfSubjectReview> = Api::all(client(kubeconfig).await);
    match reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await {
        Ok(review) => {
            let user = review.status.and_then(|it| it.user_info).expect("a user");
            Ok((user.username.unwrap_or_default(), user.groups.unwrap_or_default()))
        }
        Err(kube::Error::Api(status)) => Err(status.code),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_client_is_known_by_certificate_and_by_token() {
    let api = Sandbox::new(Arc::new(Timestamp::now), 1);
    api.begin(6443);
    api.begin_rights();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let server = Server::on(listener, api.clone(), &[]).expect("it starts");
    let now = Timestamp::now();
    let (hour, earlier) = (now + SignedDuration::from_hours(1), now - SignedDuration::from_hours(1));
    let config = |identity: &Identity, credential: Credential<'_>| {
        // The server is always trusted: what is asked here is whether it trusts the client.
        let text = identity.kubeconfig("sandbox", server.address, &credential).expect("made");
        let authority = |it: &Identity| {
            use base64::{Engine, engine::general_purpose::STANDARD};
            STANDARD.encode(it.authority())
        };
        SecretString::from(text.expose_secret().replace(&authority(identity), &authority(&api.identity)))
    };
    let jane = User::new("jane", ["devs"]);
    let by_certificate = |identity: &Identity, until: Timestamp| {
        let from = earlier - SignedDuration::from_hours(1);
        config(identity, Credential::Certificate { user: &jane, from, until })
    };
    let groups = vec!["devs".to_owned(), "system:authenticated".to_owned()];
    assert_eq!(known(&by_certificate(&api.identity, hour)).await, Ok(("jane".into(), groups.clone())));
    assert_eq!(known(&by_certificate(&api.identity, earlier)).await, Err(401));
    assert_eq!(known(&by_certificate(&Identity::seeded(9), hour)).await, Err(401));

    let by_token = |token: &SecretString| config(&api.identity, Credential::Token(token));
    let token = |until: Timestamp| api.identity.user_token(&jane, earlier, until);
    assert_eq!(known(&by_token(&token(hour))).await, Ok(("jane".into(), groups)));
    assert_eq!(known(&by_token(&token(earlier))).await, Err(401));
    let owner = known(&by_token(api.identity.owner_token())).await.expect("known");
    assert!(owner.1.contains(&"system:masters".to_owned()), "{owner:?}");

    let maps: Api<ConfigMap> = Api::namespaced(client(&by_token(&token(hour))).await, "default");
    match maps.list(&ListParams::default()).await.expect_err("jane was given nothing") {
        kube::Error::Api(status) => assert_eq!(
            (status.code, status.message.as_str()),
            (
                403,
                r#"configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace "default""#
            )
        ),
        other => panic!("{other}"),
    }
}
