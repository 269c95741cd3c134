//! Files of properties and of secrets, and complaints that do not repeat what may be one.

use std::fs;

use headcount::config::properties::{Worth, properties};

use super::run_in;

fn resolved(given: &[String]) -> Vec<(String, String)> {
    let properties = properties(given).unwrap();
    let each = properties.into_iter();
    each.map(|property| (property.key.clone(), property.value().unwrap()))
        .collect()
}

#[test]
fn values_come_from_files_and_the_last_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("secret"), "a=b c \r\n").unwrap();
    fs::write(path("pem"), "line\nline\n").unwrap();
    let list = format!(
        "# one\n\n ssl.key.pem.file = {} \nsasl.username=u\n",
        path("pem")
    );
    fs::write(path("list"), list).unwrap();
    let given = |texts: &[&str]| {
        texts
            .iter()
            .map(|text| (*text).to_owned())
            .collect::<Vec<_>>()
    };
    let file = format!("sasl.password.file={}", path("secret"));
    let listed = format!("@{}", path("list"));
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        resolved(&given(&[&file, &listed, "linger.ms= 7"])),
        [
            pair("sasl.password", "a=b c "),
            pair("ssl.key.pem", "line\nline"),
            pair("sasl.username", "u"),
            pair("linger.ms", " 7"),
        ]
    );
    // What is not used is not looked at: the first file is not there.
    let first = "sasl.password.file=/nowhere";
    assert_eq!(
        resolved(&given(&[first, "sasl.password=x"])),
        [pair("sasl.password", "x")]
    );
    assert_eq!(
        resolved(&given(&["sasl.password=x", &file])),
        [pair("sasl.password", "a=b c ")]
    );
    // A property of the client's own that ends in .file stays what it is.
    let own = properties(&given(&["sasl.oauthbearer.assertion.file=/x"])).unwrap();
    assert_eq!(own[0].key, "sasl.oauthbearer.assertion.file");
    assert_eq!(own[0].worth, Worth::Text("/x".to_owned()));
    assert!(!format!("{:?}", properties(&given(&["sasl.password=hunter2"]))).contains("hunter2"));
}

#[test]
fn what_is_wrong_with_a_property_is_said_without_its_value() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("empty", "\n");
    write("bad", "sasl.username=u\nhunter2\n");
    write("refused", "\ngroup.id=hunter2\n");
    for (property, words) in [
        ("hunter2", &["-X", "KEY=VALUE"][..]),
        ("sasl.password hunter2", &["-X", "KEY=VALUE"]),
        ("@nowhere", &["-X @nowhere", "No such file"]),
        ("@bad", &["bad:2:", "KEY=VALUE"]),
        ("@refused", &["refused:2:", "-X group.id", "--group"]),
        (
            "sasl.password.file=nowhere",
            &["-X sasl.password.file", "nowhere", "No such file"],
        ),
        (
            "sasl.password.file=empty",
            &["-X sasl.password.file", "empty"],
        ),
        ("group.id.file=empty", &["-X group.id.file", "--group"]),
        (
            "sasl.pasword=hunter2",
            &["-X sasl.pasword", "did you mean 'sasl.password'?"],
        ),
    ] {
        for command in [
            &["run", "-e", "-b", "127.0.0.1:1"][..],
            &["config", "check"],
        ] {
            let said = run_in(dir.path(), &[command, &["-X", property]].concat());
            said.check_complaint(2, words, property);
            assert!(!said.stderr.contains("hunter2"), "{}", said.stderr);
        }
    }
}
