//! Certificates for a test: an authority, a broker's certificate signed by it, and an authority that signed nothing. Made
//! with keytool, which is wherever a broker can run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Opens all key stores.
pub const STORE_PASSWORD: &str = "changeit";

pub struct Certificates {
    dir: TempDir,
}

impl Certificates {
    pub fn make() -> Certificates {
        let made = Certificates {
            dir: tempfile::tempdir().expect("a folder"),
        };
        for (store, name) in [
            ("ca", "authority"),
            ("other", "authority"),
            ("client", "client"),
        ] {
            let is_authority = store != "client";
            made.key_pair(store, name, is_authority);
            made.certificate(store);
        }
        made.key_pair("broker", "broker", false);
        let request = made.keytool("broker", &["-certreq"], b"");
        let extensions = ["-gencert", "-rfc", "-ext", "san=ip:127.0.0.1"];
        let signed = made.keytool("ca", &extensions, &request);
        let chain = [
            signed,
            std::fs::read(made.path("ca.pem")).expect("it was written"),
        ]
        .concat();
        made.keytool("broker", &["-importcert", "-noprompt"], &chain);
        // The broker trusts this one client, whose certificate has no authority above it.
        let client = std::fs::read(made.path("client.pem")).expect("it was written");
        made.keytool("trusted", &["-importcert", "-noprompt"], &client);
        made
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn key_pair(&self, store: &str, name: &str, is_authority: bool) {
        let name = format!("CN={name}");
        let mut args = vec![
            "-genkeypair",
            "-keyalg",
            "EC",
            "-validity",
            "2",
            "-dname",
            &name,
        ];
        if is_authority {
            args.extend(["-ext", "bc:c"]);
        }
        self.keytool(store, &args, b"");
    }

    fn certificate(&self, store: &str) {
        let pem = self.keytool(store, &["-exportcert", "-rfc"], b"");
        std::fs::write(self.path(&format!("{store}.pem")), pem).expect("it can be written");
    }

    fn keytool(&self, store: &str, args: &[&str], stdin: &[u8]) -> Vec<u8> {
        let mut command = Command::new("keytool");
        command
            .args(args)
            .arg("-keystore")
            .arg(self.path(&format!("{store}.p12")));
        command.args([
            "-storetype",
            "PKCS12",
            "-storepass",
            STORE_PASSWORD,
            "-alias",
            "it",
        ]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("keytool comes with Java");
        std::io::Write::write_all(&mut child.stdin.take().expect("piped"), stdin)
            .expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{command:?}: {output:?}");
        output.stdout
    }
}
