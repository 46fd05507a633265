//! Servers that show certificates, speak TLS and ask for passwords: one alone, and a trio under Sentinels that ask for another one.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rollcall::cluster::redis::{Inbound, RedisBus, RedisClient, RedisError, RedisSettings, RedisState, examine};
use rollcall::config::{self, RedisKind};
use rollcall::doctor::Status;
use rollcall_actors::cluster::ownership::{RedisAnswer, RedisCommand};
use rollcall_actors::ports::{Bus as _, InboundEvent};
use rollcall_redis_tests::{LIMIT, connected, next, node, room, run_until_answered};
use rollcall_services::{Redis, RedisSecurity, RedisSentinel, Reply, unless_skipped};

/// Makes an authority, and the certificate of a server at 127.0.0.1 that it vouches for.
fn security(folder: &Path, password: &str) -> RedisSecurity {
    fs::create_dir_all(folder).unwrap();
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority.distinguished_name.push(DnType::CommonName, "an authority for tests");
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    let write = |name: &str, text: String| {
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        file
    };
    RedisSecurity {
        certificate: write("server.pem", certificate.pem()),
        key: write("server.key", key.serialize_pem()),
        authority: write("authority.pem", authority_pem),
        password: password.to_owned(),
    }
}

fn file_with(folder: &Path, name: &str, password: &str) -> Option<PathBuf> {
    let file = folder.join(name);
    fs::write(&file, format!("{password}\n")).unwrap();
    Some(file)
}

fn settings(config: &config::Redis) -> RedisSettings {
    RedisSettings::from_config(config).unwrap()
}

/// A client that has drawn an epoch, an inbound channel that is subscribed to, and what draws the next.
async fn drawn_and_subscribed(settings: &RedisSettings) -> (RedisClient, Inbound, RedisCommand) {
    let client = RedisClient::start(settings).unwrap();
    let mut inbound = Inbound::start(settings, &node("n1")).unwrap();
    connected(&client).await;
    assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);
    let draw = RedisCommand::DrawEpoch { room: room("a") };
    assert_eq!(client.run(&draw).await, RedisAnswer::Number(1));
    (client, inbound, draw)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_is_used_on_encrypted_connections_that_it_is_vouched_for_on() {
    let folder = tempfile::tempdir().unwrap();
    let own = security(&folder.path().join("own"), "right-canary");
    let others = security(&folder.path().join("others"), "right-canary");
    let Some(redis) = unless_skipped(Redis::start_secured(&folder.path().join("redis"), &own)) else { return };
    let config = config::Redis {
        servers: vec![redis.tls_address().to_string()],
        tls: true,
        tls_ca_file: Some(own.authority.clone()),
        password_file: file_with(folder.path(), "password", "right-canary"),
        ..config::Redis::default()
    };

    // Whoever does not speak TLS, or has the wrong password, or trusts somebody else, gets nowhere.
    let plain = config::Redis { tls: false, tls_ca_file: None, ..config.clone() };
    assert!(RedisClient::check(&settings(&plain)).await.is_err());
    let wrong = file_with(folder.path(), "wrong", "wrong-canary");
    let wrong = config::Redis { password_file: wrong, ..config.clone() };
    assert_eq!(RedisClient::check(&settings(&wrong)).await, Err(RedisError::Credentials));
    for authorities in [Some(others.authority), None] {
        let stranger = settings(&config::Redis { tls_ca_file: authorities, ..config.clone() });
        let error = RedisClient::check(&stranger).await.unwrap_err();
        assert!(matches!(&error, RedisError::Driver(why) if why.contains("certificate")), "{error}");
        let client = RedisClient::start(&stranger).unwrap();
        let away = |state: &RedisState| matches!(state, RedisState::Away(Some(_)));
        let state = tokio::time::timeout(LIMIT, client.state().wait_for(away)).await.unwrap().unwrap().clone();
        assert!(!format!("{stranger:?} {error:?} {state:?}").contains("canary"));
    }

    let settings = settings(&config);
    let findings = examine(&settings).await;
    assert!(findings.iter().all(|finding| finding.status == Status::Ok), "{findings:#?}");
    let (client, mut inbound, draw) = drawn_and_subscribed(&settings).await;
    RedisBus::new(client.clone()).send(&node("n1"), Bytes::from_static(b"hello"));
    assert_eq!(next(&mut inbound).await, InboundEvent::Envelope(Bytes::from_static(b"hello")));

    // And again, after it was gone.
    redis.restart().unwrap();
    let (answer, _) = run_until_answered(&client, &draw).await;
    assert!(matches!(answer, RedisAnswer::Number(1..)), "{answer:?}");
    assert_eq!(next(&mut inbound).await, InboundEvent::Interrupted);
    assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_with_a_password_of_their_own_name_a_master_on_encrypted_connections() {
    let folder = tempfile::tempdir().unwrap();
    let servers = security(&folder.path().join("own"), "right-canary");
    let sentinels = RedisSecurity { password: "sentinel-canary".to_owned(), ..servers.clone() };
    let trio = RedisSentinel::start_secured(&folder.path().join("trio"), &servers, &sentinels);
    let Some(trio) = unless_skipped(trio) else { return };
    let config = config::Redis {
        kind: RedisKind::Sentinel,
        servers: trio.sentinels().iter().map(|sentinel| sentinel.tls_address().to_string()).collect(),
        sentinel_master: Some(trio.master_name().to_owned()),
        tls: true,
        tls_ca_file: Some(servers.authority.clone()),
        password_file: file_with(folder.path(), "password", "right-canary"),
        sentinel_password_file: file_with(folder.path(), "sentinel-password", "sentinel-canary"),
        ..config::Redis::default()
    };
    let (password, sentinel_password) = (config.password_file.clone(), config.sentinel_password_file.clone());
    for wrong in [
        config::Redis { sentinel_password_file: password, ..config.clone() },
        config::Redis { sentinel_password_file: None, ..config.clone() },
        config::Redis { password_file: sentinel_password, ..config.clone() },
    ] {
        let error = RedisClient::check(&settings(&wrong)).await.unwrap_err();
        assert_eq!(error, RedisError::Credentials);
        assert!(!format!("{error} {wrong:?}").contains("canary"));
    }

    let settings = settings(&config);
    let (client, mut inbound, draw) = drawn_and_subscribed(&settings).await;

    trio.servers()[0].kill();
    assert_eq!(next(&mut inbound).await, InboundEvent::Interrupted);
    let (answer, _) = run_until_answered(&client, &draw).await;
    assert!(matches!(answer, RedisAnswer::Number(1..)), "{answer:?}");
    assert_eq!(next(&mut inbound).await, InboundEvent::Subscribed);
    let master = &trio.servers()[trio.master().unwrap()];
    let published = master.command(&["SPUBLISH", "rollcall:node:{n1}", "from the new one"]).unwrap();
    assert_eq!(published, Reply::Integer(1));
    assert_eq!(next(&mut inbound).await, InboundEvent::Envelope(Bytes::from_static(b"from the new one")));
}
