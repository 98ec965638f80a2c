//! cert-manager, once a Deployment of its controller is available: issuers that are ready, certificates that an authority
//! has really signed, and the Ingresses that ask for them.
//!
//! ACME issuers are served by an authority of the cluster's own, without a challenge. Keys are of P-256, whatever is
//! asked for, and really random: they are the one thing here that a seed does not repeat.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};

use super::{Cluster, Controller, cron::go_duration};
use crate::kube::{
    object::{meta, time},
    store::{Change, Key},
};

const NAME: &str = "cert-manager";
const DEPLOYMENTS: &str = "apps/deployments";
const SECRETS: &str = "/secrets";
const INGRESSES: &str = "networking.k8s.io/ingresses";
const ISSUERS: &str = "cert-manager.io/issuers";
const CLUSTER_ISSUERS: &str = "cert-manager.io/clusterissuers";
const CERTIFICATES: &str = "cert-manager.io/certificates";

/// The Secret with the authority that stands for those on the Internet.
const AUTHORITY: &str = "sandbox-acme-authority";

/// How long a certificate is good that does not say: ninety days.
const GOOD: SignedDuration = SignedDuration::from_hours(2_160);

/// How long issuing takes.
const STEP: SignedDuration = SignedDuration::from_secs(1);

/// cert-manager.
pub struct CertManager;

impl Controller for CertManager {
    fn watches(&self) -> &'static [&'static str] {
        &[DEPLOYMENTS, SECRETS, INGRESSES, ISSUERS, CLUSTER_ISSUERS, CERTIFICATES]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        let all = |kinds: &[&str], namespace: Option<&str>| -> Vec<Key> {
            let of = |kind: &&str| {
                let listed = cluster.list(kind, namespace).into_iter();
                let keys = listed.map(|it| Cluster::key(kind, meta(&it, "namespace"), meta(&it, "name")));
                keys.collect::<Vec<_>>()
            };
            kinds.iter().flat_map(of).collect()
        };
        let key = &change.key;
        match &*key.kind {
            DEPLOYMENTS if change.after.as_deref().is_some_and(is_controller) => {
                all(&[CLUSTER_ISSUERS, ISSUERS, CERTIFICATES, INGRESSES], None)
            }
            DEPLOYMENTS => Vec::new(),
            SECRETS => {
                let mut keys = all(&[ISSUERS, CERTIFICATES], Some(&key.namespace));
                keys.extend(all(&[CLUSTER_ISSUERS], None));
                let names = |it: &Key| {
                    let object = cluster.get(it);
                    let spec = object.as_deref().map(|object| &object["spec"]);
                    spec.is_some_and(|spec| {
                        spec["secretName"] == key.name.as_str()
                            || spec["ca"]["secretName"] == key.name.as_str()
                    })
                };
                keys.retain(names);
                keys
            }
            ISSUERS => [vec![key.clone()], all(&[CERTIFICATES], Some(&key.namespace))].concat(),
            CLUSTER_ISSUERS => [vec![key.clone()], all(&[CERTIFICATES], None)].concat(),
            _ => vec![key.clone()],
        }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let home = home(cluster)?;
        let object = cluster.get(key)?;
        match &*key.kind {
            ISSUERS => issuer(cluster, key, &object, &key.namespace),
            CLUSTER_ISSUERS => issuer(cluster, key, &object, &home),
            CERTIFICATES => return certificate(cluster, key, &object, &home),
            INGRESSES => ingress(cluster, key, &object),
            _ => {}
        }
        None
    }
}

fn is_controller(deployment: &Value) -> bool {
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array();
    let runs = containers.into_iter().flatten().any(|it| {
        let image = it["image"].as_str().unwrap_or_default();
        image.split(['@', ':']).next().is_some_and(|image| image.ends_with("cert-manager-controller"))
    });
    runs && deployment["status"]["availableReplicas"].as_u64().unwrap_or(0) > 0
}

/// The namespace in which it runs.
fn home(cluster: &Cluster) -> Option<String> {
    let deployments = cluster.list(DEPLOYMENTS, None);
    deployments.iter().find(|it| is_controller(it)).map(|it| meta(it, "namespace").to_owned())
}

/// Sets a condition; its time changes only with its status.
fn condition(cluster: &Cluster, key: &Key, kind: &str, status: bool, reason: &str, message: &str) {
    let now = cluster.time();
    let _refused = cluster.change_status(NAME, key, |object| {
        let generation = object["metadata"]["generation"].clone();
        let mut conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let status = if status { "True" } else { "False" };
        let old = conditions.iter().position(|it| it["type"] == kind);
        let since = match old {
            Some(at) if conditions[at]["status"] == status => conditions[at]["lastTransitionTime"].clone(),
            _ => now.clone().into(),
        };
        let new = json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastTransitionTime": since, "observedGeneration": generation,
        });
        match old {
            Some(at) => conditions[at] = new,
            None => conditions.push(new),
        }
        object["status"]["conditions"] = conditions.into();
    });
}

fn has(object: &Value, kind: &str) -> Option<Timestamp> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|it| it["type"] == kind && it["status"] == "True")?;
    found["lastTransitionTime"].as_str()?.parse().ok()
}

fn issuer(cluster: &Cluster, key: &Key, issuer: &Value, home: &str) {
    let spec = &issuer["spec"];
    let ready =
        |status: bool, reason: &str, message: &str| condition(cluster, key, "Ready", status, reason, message);
    if spec["selfSigned"].is_object() {
        ready(true, "IsReady", "");
    } else if let Some(secret) = spec["ca"]["secretName"].as_str() {
        match pair(cluster, home, secret) {
            Some(_) => ready(true, "KeyPairVerified", "Signing CA verified"),
            None => ready(
                false,
                "ErrGetKeyPair",
                &format!("Error getting keypair for CA issuer: secrets \"{secret}\" not found"),
            ),
        }
    } else if spec["acme"].is_object() {
        let server = spec["acme"]["server"].as_str().unwrap_or_default();
        let uri = format!("{}/acct/1", server.trim_end_matches('/'));
        let _refused =
            cluster.change_status(NAME, key, |it| it["status"]["acme"]["uri"] = uri.clone().into());
        ready(true, "ACMEAccountRegistered", "The ACME account was registered with the ACME server");
    } else {
        ready(false, "ErrInitIssuer", "Error initializing issuer: this kind of issuer is not emulated");
    }
}

/// A certificate and its key, PEM, from a Secret.
fn pair(cluster: &Cluster, namespace: &str, secret: &str) -> Option<(String, String)> {
    let secret = cluster.get(&Cluster::key(SECRETS, namespace, secret))?;
    let text = |field: &str| {
        let bytes = STANDARD.decode(secret["data"][field].as_str()?).ok()?;
        String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
    };
    Some((text("tls.crt")?, text("tls.key")?))
}

fn certificate(cluster: &Cluster, key: &Key, certificate: &Value, home: &str) -> Option<SignedDuration> {
    let spec = &certificate["spec"];
    let secret = spec["secretName"].as_str()?;
    let now = cluster.now();
    if let Some(renewal) = is_good(cluster, key, certificate) {
        condition(cluster, key, "Ready", true, "Ready", "Certificate is up to date and has not expired");
        let left = renewal.duration_since(now);
        if left.is_positive() {
            return Some(left);
        }
    }
    let Some(since) = has(certificate, "Issuing") else {
        let there = cluster.get(&Cluster::key(SECRETS, &key.namespace, secret)).is_some();
        let (reason, message) = match there {
            false => ("DoesNotExist", "Issuing certificate as Secret does not exist"),
            true => ("Renewing", "Renewing certificate as renewal was scheduled or its wish has changed"),
        };
        condition(cluster, key, "Issuing", true, reason, message);
        if has(certificate, "Ready").is_none() {
            condition(cluster, key, "Ready", false, reason, message);
        }
        return Some(STEP);
    };
    let left = (since + STEP).duration_since(now);
    if left.is_positive() {
        return Some(left);
    }
    let signed = sign(cluster, key, certificate, home)?;
    let good = spec["duration"].as_str().and_then(go_duration).unwrap_or(GOOD);
    let early = spec["renewBefore"].as_str().and_then(go_duration).unwrap_or(good / 3);
    keep(cluster, key, certificate, secret, &signed);
    let _refused = cluster.change_status(NAME, key, |it| {
        let status = &mut it["status"];
        status["notBefore"] = time(now).into();
        status["notAfter"] = time(now + good).into();
        status["renewalTime"] = time(now + (good - early)).into();
        status["revision"] = (status["revision"].as_u64().unwrap_or(0) + 1).into();
        if let Some(conditions) = status["conditions"].as_array_mut() {
            conditions.retain(|it| it["type"] != "Issuing");
        }
    });
    condition(cluster, key, "Ready", true, "Ready", "Certificate is up to date and has not expired");
    Some(good - early)
}

/// When the certificate that is there must be renewed; nothing when it is not the one that is asked for.
fn is_good(cluster: &Cluster, key: &Key, certificate: &Value) -> Option<Timestamp> {
    let spec = &certificate["spec"];
    let name = spec["secretName"].as_str()?;
    pair(cluster, &key.namespace, name)?;
    let secret = cluster.get(&Cluster::key(SECRETS, &key.namespace, name))?;
    let noted = annotations(certificate);
    let there = &secret["metadata"]["annotations"];
    let same = noted.as_object()?.iter().all(|(name, value)| there[name] == *value);
    same.then(|| certificate["status"]["renewalTime"].as_str()?.parse().ok())?
}

/// What the Secret says of its certificate.
fn annotations(certificate: &Value) -> Value {
    let spec = &certificate["spec"];
    let list = |field: &str| {
        let all = spec[field].as_array().into_iter().flatten().filter_map(Value::as_str);
        all.collect::<Vec<_>>().join(",")
    };
    let issuer = &spec["issuerRef"];
    json!({
        "cert-manager.io/certificate-name": meta(certificate, "name"),
        "cert-manager.io/issuer-name": issuer["name"],
        "cert-manager.io/issuer-kind": issuer["kind"].as_str().unwrap_or("Issuer"),
        "cert-manager.io/issuer-group": issuer["group"].as_str().unwrap_or_default(),
        "cert-manager.io/common-name": spec["commonName"].as_str().unwrap_or_default(),
        "cert-manager.io/alt-names": list("dnsNames"),
        "cert-manager.io/ip-sans": list("ipAddresses"),
        "cert-manager.io/uri-sans": list("uris"),
    })
}

/// A signed certificate: itself, its authority and its key, PEM.
struct Signed {
    certificate: String,
    authority: String,
    key: String,
}

/// Signs what is asked for, when its issuer is ready.
fn sign(cluster: &Cluster, key: &Key, certificate: &Value, home: &str) -> Option<Signed> {
    let wanted = &certificate["spec"]["issuerRef"];
    let name = wanted["name"].as_str()?;
    let (place, of) = match wanted["kind"].as_str() {
        Some("ClusterIssuer") => (Cluster::key(CLUSTER_ISSUERS, "", name), home),
        _ => (Cluster::key(ISSUERS, &key.namespace, name), key.namespace.as_str()),
    };
    let issuer = cluster.get(&place).filter(|issuer| has(issuer, "Ready").is_some());
    let Some(issuer) = issuer else {
        let kind = wanted["kind"].as_str().unwrap_or("Issuer");
        let message = format!(
            "Referenced \"{kind}\" not found: {} \"{name}\" is not there or not ready",
            kind.to_lowercase()
        );
        condition(cluster, key, "Ready", false, "DoesNotExist", &message);
        return None;
    };
    let spec = &issuer["spec"];
    let authority = if spec["selfSigned"].is_object() {
        None
    } else {
        match spec["ca"]["secretName"].as_str() {
            Some(secret) => Some(pair(cluster, of, secret)?),
            None => Some(authority(cluster, home)?),
        }
    };
    let signed = make(cluster.now(), certificate, authority);
    match signed {
        Ok(signed) => Some(signed),
        Err(why) => {
            condition(
                cluster,
                key,
                "Ready",
                false,
                "Failed",
                &format!("The certificate request has failed to complete: {why}"),
            );
            None
        }
    }
}

fn at(moment: Timestamp) -> impl Fn(&mut CertificateParams, bool) {
    let since = rcgen::date_time_ymd(1970, 1, 1)
        + Duration::from_secs(u64::try_from(moment.as_second()).unwrap_or(0));
    move |params, end| match end {
        true => params.not_after = since,
        false => params.not_before = since,
    }
}

fn make(
    now: Timestamp,
    certificate: &Value,
    authority: Option<(String, String)>,
) -> Result<Signed, rcgen::Error> {
    let spec = &certificate["spec"];
    let names = ["dnsNames", "ipAddresses"].iter().flat_map(|it| spec[*it].as_array().into_iter().flatten());
    let names: Vec<String> = names.filter_map(Value::as_str).map(str::to_owned).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    if let Some(common) = spec["commonName"].as_str() {
        params.distinguished_name.push(DnType::CommonName, common);
    }
    let good = spec["duration"].as_str().and_then(go_duration).unwrap_or(GOOD);
    at(now)(&mut params, false);
    at(now + good)(&mut params, true);
    if spec["isCA"] == true {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    } else {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    }
    let key = KeyPair::generate()?;
    let (certificate, authority) = match authority {
        None => {
            let own = params.self_signed(&key)?.pem();
            (own.clone(), own)
        }
        Some((pem, secret)) => {
            let mut own = CertificateParams::default();
            own.distinguished_name = subject(&pem).ok_or(rcgen::Error::CouldNotParseCertificate)?;
            own.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            let issuer = Issuer::new(own, KeyPair::from_pem(&secret)?);
            (params.signed_by(&key, &issuer)?.pem(), pem)
        }
    };
    Ok(Signed { certificate, authority, key: key.serialize_pem() })
}

/// The subject of a certificate, which is the issuer of those that it signs.
fn subject(pem: &str) -> Option<DistinguishedName> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let mut name = DistinguishedName::new();
    for part in certificate.subject().iter_attributes() {
        let kind = match part.attr_type().to_id_string().as_str() {
            "2.5.4.3" => DnType::CommonName,
            "2.5.4.6" => DnType::CountryName,
            "2.5.4.10" => DnType::OrganizationName,
            "2.5.4.11" => DnType::OrganizationalUnitName,
            _ => return None,
        };
        name.push(kind, part.as_str().ok()?);
    }
    Some(name)
}

/// The authority that stands for those on the Internet, made when it is first needed.
fn authority(cluster: &Cluster, home: &str) -> Option<(String, String)> {
    if let Some(there) = pair(cluster, home, AUTHORITY) {
        return Some(there);
    }
    let mut wish = json!({"spec": {"isCA": true, "commonName": "platform sandbox authority"}});
    wish["spec"]["duration"] = "87600h".into();
    let made = make(cluster.now(), &wish, None).ok()?;
    let data = json!({"tls.crt": STANDARD.encode(&made.certificate), "tls.key": STANDARD.encode(&made.key)});
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"namespace": home, "name": AUTHORITY}, "data": data,
    });
    cluster.create(NAME, SECRETS, &secret).ok()?;
    Some((made.certificate, made.key))
}

/// Writes a signed certificate where it is wanted.
fn keep(cluster: &Cluster, key: &Key, certificate: &Value, secret: &str, signed: &Signed) {
    let place = Cluster::key(SECRETS, &key.namespace, secret);
    let data = json!({
        "tls.crt": STANDARD.encode(&signed.certificate),
        "tls.key": STANDARD.encode(&signed.key),
        "ca.crt": STANDARD.encode(&signed.authority),
    });
    let notes = annotations(certificate);
    let _refused = match cluster.get(&place) {
        Some(_) => cluster.change(NAME, &place, |it| {
            it["data"] = data.clone();
            for (name, value) in notes.as_object().into_iter().flatten() {
                it["metadata"]["annotations"][name] = value.clone();
            }
        }),
        None => cluster
            .create(
                NAME,
                SECRETS,
                &json!({
                    "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                    "metadata": {
                        "namespace": key.namespace, "name": secret, "annotations": notes,
                        "labels": {"controller.cert-manager.io/fao": "true"},
                    },
                    "data": data,
                }),
            )
            .map(Some),
    };
}

/// Makes the certificates that an Ingress asks for.
fn ingress(cluster: &Cluster, key: &Key, ingress: &Value) {
    let annotation = |name: &str| ingress["metadata"]["annotations"][name].as_str();
    let issuer = match (annotation("cert-manager.io/cluster-issuer"), annotation("cert-manager.io/issuer")) {
        (Some(name), _) => json!({"name": name, "kind": "ClusterIssuer", "group": "cert-manager.io"}),
        (None, Some(name)) => json!({"name": name, "kind": "Issuer", "group": "cert-manager.io"}),
        (None, None) => return,
    };
    let mut seen = BTreeSet::new();
    for tls in ingress["spec"]["tls"].as_array().into_iter().flatten() {
        let Some(secret) = tls["secretName"].as_str().filter(|secret| seen.insert((*secret).to_owned()))
        else {
            continue;
        };
        let spec = json!({"secretName": secret, "dnsNames": tls["hosts"], "issuerRef": issuer, "usages": ["digital signature", "key encipherment"]});
        let place = Cluster::key(CERTIFICATES, &key.namespace, secret);
        let there: Option<Arc<Value>> = cluster.get(&place);
        let _refused = match there {
            Some(_) => cluster.change(NAME, &place, |it| it["spec"] = spec.clone()),
            None => cluster
                .create(
                    NAME,
                    CERTIFICATES,
                    &json!({
                        "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
                        "metadata": {
                            "namespace": key.namespace, "name": secret,
                            "ownerReferences": [{
                                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": key.name,
                                "uid": meta(ingress, "uid"), "controller": true, "blockOwnerDeletion": true,
                            }],
                        },
                        "spec": spec,
                    }),
                )
                .map(Some),
        };
    }
}

#[cfg(test)]
mod tests;
