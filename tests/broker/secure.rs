//! TLS and logins, with a real broker and certificates of the test's own: what goes through, what is said of a wrong
//! password, certificate or port, and that secrets stay where they are.

use crate::support::broker::Broker;
use crate::support::certificates::{Certificates, STORE_PASSWORD};
use crate::support::http;
use crate::support::kafka::create_topic;
use crate::support::process::{Service, headcount, run};
use crate::world::{SOON, seen, send_to};
use headcount::io::kafka_client::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Stands in no other text of a test, a log or a tool.
const PASSWORD: &str = "correct-horse-7319";
const FRAMES: u32 = 1_200;
const USERS: u32 = 300;

/// How long it may take until it is said what is wrong, on a machine that is busy with other tests.
const REASONABLE: Duration = Duration::from_secs(60);

struct Secure {
    broker: Broker,
    certificates: Certificates,
}

/// One broker for all tests here, with a topic of frames.
fn secure() -> Option<&'static Secure> {
    static SECURE: OnceLock<Option<Secure>> = OnceLock::new();
    SECURE.get_or_init(|| start("secure")).as_ref()
}

fn start(name: &str) -> Option<Secure> {
    // Without a broker there may be no keytool either.
    Broker::shared()?;
    let certificates = Certificates::make();
    let properties = certificates.path("broker.properties");
    let stores = certificates.dir().display();
    let text = format!(
        r#"
listeners=PLAINTEXT://127.0.0.1:@PORT@,CONTROLLER://127.0.0.1:@CONTROLLER_PORT@,SSL://127.0.0.1:@PORT_3@,SASL_SSL://127.0.0.1:@PORT_4@
advertised.listeners=PLAINTEXT://127.0.0.1:@PORT@,SSL://127.0.0.1:@PORT_3@,SASL_SSL://127.0.0.1:@PORT_4@
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL
ssl.keystore.type=PKCS12
ssl.keystore.location={stores}/broker.p12
ssl.keystore.password={STORE_PASSWORD}
ssl.truststore.type=PKCS12
ssl.truststore.location={stores}/trusted.p12
ssl.truststore.password={STORE_PASSWORD}
listener.name.ssl.ssl.client.auth=requested
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_headcount="{PASSWORD}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"#
    );
    fs::write(&properties, text).expect("it can be written");
    let broker = Broker::start_with(name, &properties)?;
    let user = format!("SCRAM-SHA-512=[password={PASSWORD}]");
    let alter = [
        "--alter",
        "--add-config",
        &user,
        "--entity-type",
        "users",
        "--entity-name",
        "headcount",
    ];
    let with_broker = [&["--bootstrap-server", broker.address()], &alter[..]].concat();
    broker.tool("kafka.admin.ConfigCommand", &with_broker);
    create_topic(broker.address(), "frames", 2, &[]);
    let frames: Vec<_> = (0..FRAMES)
        .map(|n| seen((n % 2) as i32, n % USERS, 1_790_000_000 + n))
        .collect();
    send_to(broker.address(), "frames", &frames, "lz4");
    Some(Secure {
        broker,
        certificates,
    })
}

impl Secure {
    fn tls(&self) -> String {
        self.broker.other_address(3)
    }

    fn login(&self) -> String {
        self.broker.other_address(4)
    }

    /// Options for a listener.
    fn options(&self, protocol: &str, authority: &str) -> Vec<String> {
        let authority = self.certificates.path(authority);
        let address = match protocol {
            "SASL_SSL" => self.login(),
            _ => self.tls(),
        };
        let mut options = vec!["-b".to_owned(), address];
        options.extend(properties(&[
            ("security.protocol", protocol),
            ("ssl.ca.location", authority.to_str().expect("a plain path")),
        ]));
        options
    }

    fn login_options(&self, mechanism: &str, password: &str) -> Vec<String> {
        let mut options = self.options("SASL_SSL", "ca.pem");
        options.extend(properties(&[
            ("sasl.mechanism", mechanism),
            ("sasl.username", "headcount"),
            ("sasl.password", password),
        ]));
        options
    }
}

fn properties(properties: &[(&str, &str)]) -> Vec<String> {
    let each = properties.iter();
    each.flat_map(|(key, value)| ["-X".to_owned(), format!("{key}={value}")])
        .collect()
}

fn command(args: &[&str], options: &[String]) -> Command {
    let mut command = headcount();
    command
        .args(["--log-format", "json"])
        .args(args)
        .args(options);
    command
}

/// Counts the topic, publishes, reads what was published, and sends to another topic, all with these options.
fn check_all_ways(options: &[String], name: &str) {
    let stats = format!("{name}-stats");
    let args = ["run", "-t", "frames", "--job", name, "-o", &stats, "-e"];
    let counted = run(command(&args, options), b"");
    let said = String::from_utf8_lossy(&counted.stderr).into_owned();
    assert!(counted.status.success(), "{name}: {said}");
    assert!(said.contains(&format!("\"counted\":{FRAMES}")), "{said}");
    let top = run(command(&["top", "--once", "-o", &stats], options), b"");
    let shown = String::from_utf8_lossy(&top.stdout).into_owned();
    assert!(
        top.status.success() && shown.contains(&USERS.to_string()),
        "{name}: {top:?}"
    );
    let args = [
        "replay",
        "-t",
        &format!("{name}-copies"),
        "--partitions",
        "1",
        "-",
    ];
    let replayed = run(command(&args, options), b"{\"uid\":\"a\",\"ts\":1}\n");
    assert!(replayed.status.success(), "{name}: {replayed:?}");
}

#[test]
fn everything_works_over_tls_and_with_each_login() {
    let Some(secure) = secure() else {
        return;
    };
    check_all_ways(&secure.options("SSL", "ca.pem"), "over-tls");
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let name = format!("with-{}", mechanism.to_lowercase());
        check_all_ways(&secure.login_options(mechanism, PASSWORD), &name);
    }
    // A certificate of its own instead of a password.
    let mut options = secure.options("SSL", "ca.pem");
    let store = secure.certificates.path("client.p12");
    options.extend(properties(&[
        (
            "ssl.keystore.location",
            store.to_str().expect("a plain path"),
        ),
        ("ssl.keystore.password", STORE_PASSWORD),
    ]));
    check_all_ways(&options, "with-certificate");
}

#[allow(
    clippy::disallowed_methods,
    reason = "how long a person waits for the sentence is real time"
)]
/// The last line, which must be the one sentence; the lines before it are the log's.
fn check_refused(args: &[&str], options: &[String], words: &[&str]) {
    let begun = Instant::now();
    let output = run(command(args, options), b"{}\n");
    let took = begun.elapsed();
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(
        output.status.code(),
        Some(77),
        "{args:?} {options:?}: {stderr}"
    );
    assert!(took < REASONABLE, "{args:?} took {took:?}");
    let (log, last) = stderr
        .trim_end()
        .rsplit_once('\n')
        .unwrap_or(("", stderr.trim_end()));
    assert!(last.starts_with("headcount: "), "{stderr}");
    for word in words {
        assert!(last.contains(word), "no {word:?} in {last}");
    }
    // What the library says of each try would bury the sentence.
    let tries = log
        .lines()
        .filter(|line| line.contains("Kafka client"))
        .count();
    assert_eq!(tries, 0, "{stderr}");
    assert!(!stderr.contains("wrong-horse"), "{stderr}");
}

#[test]
fn a_wrong_password_is_told_in_one_sentence() {
    let Some(secure) = secure() else {
        return;
    };
    let words = [
        &secure.login()[..],
        "refuses the user or the password",
        "sasl.password",
    ];
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let options = secure.login_options(mechanism, "wrong-horse");
        check_refused(
            &["run", "-t", "frames", "-o", "refused-stats"],
            &options,
            &words,
        );
    }
    let options = secure.login_options("SCRAM-SHA-512", "wrong-horse");
    check_refused(&["run", "-t", "frames", "-o", "-", "-e"], &options, &words);
    check_refused(&["replay", "-t", "frames", "-"], &options, &words);
    check_refused(&["top", "--plain"], &options, &words);
    check_refused(&["top", "--once"], &options, &words);
    let options = secure.login_options("SCRAM-SHA-256", PASSWORD);
    let words = ["sasl.mechanism", "PLAIN", "SCRAM-SHA-512"];
    check_refused(&["run", "-t", "frames"], &options, &words);
}

#[test]
fn a_wrong_certificate_or_port_is_told_in_one_sentence() {
    let Some(secure) = secure() else {
        return;
    };
    let run = ["run", "-t", "frames"];
    let tls = secure.tls();
    let words = [&tls[..], "cannot be trusted", "ssl.ca.location"];
    check_refused(&run, &secure.options("SSL", "other.pem"), &words);
    // Those of the machine know nothing of ours.
    let options = [
        vec!["-b".to_owned(), tls.clone()],
        properties(&[("security.protocol", "SSL")]),
    ];
    check_refused(&run, &options.concat(), &words);
    let plain = ["-b".to_owned(), tls.clone()];
    check_refused(&run, &plain, &[&tls, "speaks TLS", "security.protocol"]);
    let mut options = secure.options("SSL", "ca.pem");
    options[1] = secure.broker.address().to_owned();
    check_refused(
        &run,
        &options,
        &[secure.broker.address(), "does not speak TLS", "PLAINTEXT"],
    );
    let mut options = secure.login_options("PLAIN", PASSWORD);
    options[1] = tls.clone();
    check_refused(&run, &options, &[&tls, "takes no SASL", "SSL"]);
    let mut options = secure.options("SSL", "ca.pem");
    options[1] = secure.login();
    check_refused(&run, &options, &[&secure.login(), "login", "SASL_SSL"]);
}

/// Once it has worked, it may work again: a service does not end over a password that somebody changes.
#[test]
fn a_service_outlives_a_password_that_is_changed_and_changed_back() {
    let Some(secure) = start("changing") else {
        return;
    };
    let set = |password: &str| {
        let user = format!("SCRAM-SHA-512=[password={password}]");
        let args = [
            "--bootstrap-server",
            secure.broker.address(),
            "--alter",
            "--add-config",
            &user,
        ];
        let whom = ["--entity-type", "users", "--entity-name", "changing"];
        secure
            .broker
            .tool("kafka.admin.ConfigCommand", &[&args[..], &whom].concat());
    };
    set("first");
    let mut options = secure.login_options("SCRAM-SHA-512", "first");
    for option in &mut options {
        *option = option.replace("sasl.username=headcount", "sasl.username=changing");
    }
    let args = [
        "run", "-t", "frames", "--job", "changing", "-o", "-", "--every", "1s",
    ];
    let mut service = Service::spawn(command(&args, &options));
    service.stderr_line("\"reading\"", SOON);
    set("second");
    // Who is logged in stays so until the connection ends.
    secure.broker.restart();
    service.stderr_line("refuses the user or the password", REASONABLE);
    assert!(service.ended().is_none());
    set("first");
    service.stderr_line("answer again", REASONABLE);
    service.terminate();
    assert!(service.wait(SOON).success());
}

/// A way in which a password can be given: its name, options and variables.
type Way = (&'static str, Vec<String>, Vec<(&'static str, String)>);

fn ways(secure: &Secure) -> Vec<Way> {
    let file = |name: &str, text: &str| {
        let path = secure.certificates.path(name);
        fs::write(&path, text).expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
        path.to_str().expect("a plain path").to_owned()
    };
    let password = file("password", &format!("{PASSWORD}\n"));
    let list = file(
        "list",
        &format!("# for headcount\nsasl.password = {PASSWORD}\n"),
    );
    let toml = file(
        "own.toml",
        &format!("[kafka]\nsasl.password = \"{PASSWORD}\"\n"),
    );
    let toml_file = file(
        "file.toml",
        &format!("[kafka]\nsasl.password.file = \"{password}\"\n"),
    );
    let flag = |text: String| vec!["-X".to_owned(), text];
    let config = |path: String| vec!["--config".to_owned(), path];
    vec![
        ("flag", flag(format!("sasl.password={PASSWORD}")), vec![]),
        (
            "flag in one",
            vec![format!("--property=sasl.password={PASSWORD}")],
            vec![],
        ),
        ("list", flag(format!("@{list}")), vec![]),
        (
            "file",
            flag(format!("sasl.password.file={password}")),
            vec![],
        ),
        (
            "variable",
            vec![],
            vec![("HEADCOUNT_X_SASL_PASSWORD", PASSWORD.to_owned())],
        ),
        (
            "variable of a file",
            vec![],
            vec![("HEADCOUNT_X_SASL_PASSWORD_FILE", password)],
        ),
        ("configuration", config(toml), vec![]),
        ("configuration of a file", config(toml_file), vec![]),
    ]
}

#[test]
fn a_password_works_however_it_is_given_and_is_shown_nowhere() {
    let Some(secure) = secure() else {
        return;
    };
    let mut common = secure.options("SASL_SSL", "ca.pem");
    common.extend(properties(&[
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "headcount"),
        // All that the library has to tell.
        ("debug", "all"),
    ]));
    for (way, options, variables) in ways(secure) {
        let options = [&common[..], &options].concat();
        let with = |args: &[&str]| {
            let mut command = command(args, &options);
            command.envs(variables.iter().map(|(name, value)| (name, value)));
            command
        };
        let mut shown = Vec::new();
        let args = [
            "run",
            "-t",
            "frames",
            "-o",
            "-",
            "--http",
            "127.0.0.1:0",
            "--every",
            "200ms",
        ];
        let mut service = Service::spawn(with(&args));
        let line = service.stderr_line("http://", SOON);
        let address = line
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split(['/', '"']).next());
        let address = address.expect("an address").to_owned();
        let counted = format!("\"counted\":{FRAMES}");
        service.stdout_line(&counted, SOON);
        shown.push(fs::read(format!("/proc/{}/cmdline", service.id())).expect("it runs"));
        for path in ["/metrics", "/v1/stats", "/readyz", "/", "/openapi.json"] {
            shown.push(http::get(&address, path).body);
        }
        service.terminate();
        assert!(service.wait(SOON).success(), "{way}");
        shown.push(service.stderr().into_bytes());
        shown.push(service.stdout().into_bytes());
        for args in [
            &["config", "show"][..],
            &["config", "check"],
            &["run", "--help"],
            &["run", "--every", "1ms"],
        ] {
            let output = run(with(args), b"");
            shown.extend([output.stdout, output.stderr]);
        }
        for bytes in shown {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(PASSWORD), "{way}: the password is in {text}");
        }
        let is_warned = service.stderr().contains("stood on the command line");
        assert_eq!(is_warned, way.starts_with("flag"), "{way}");
    }
}

/// Connections that are refused are no refusal of ours: a service waits for a broker that is not there yet.
#[test]
fn a_broker_that_is_not_there_refuses_nobody() {
    let tls = vec![("security.protocol".to_owned(), "SSL".to_owned())];
    for properties in [Vec::new(), tls] {
        let connection = Connection::new("127.0.0.1:1".to_owned(), properties);
        assert_eq!(connection.refusal(), None);
        assert_eq!(connection.check_refusal(), Ok(()));
    }
}
