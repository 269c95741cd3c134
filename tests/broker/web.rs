//! The service over HTTP: what it answers, to whom, and what it does not let itself be made to do.

mod answers;
mod dashboard;
mod door;
mod flood;
mod openapi;
mod page;
mod query;
mod scrape;
mod stream;

use crate::mock::{Cluster, batch, cluster};
use crate::support::http::{Response, get};
use crate::support::process::Service;
use crate::support::wait_until;
use crate::world::{Frame, Job, SOON, log_lines};
use serde_json::Value;

/// A service that answers over HTTP, on a broker in memory.
pub struct Web {
    pub cluster: Cluster,
    pub job: Job,
    pub service: Service,
    /// Address and port.
    pub address: String,
}

impl Web {
    /// A service with these options beside `--http`; frames are there already.
    pub fn start_with(name: &str, frames: &[Frame], options: &[&str]) -> Web {
        let (cluster, job) = cluster(name, 2);
        job.send(frames);
        let (service, address) = serve(&job, options);
        Web {
            cluster,
            job,
            service,
            address,
        }
    }

    /// A service that has counted some minutes of traffic.
    pub fn counting(name: &str) -> (Web, Vec<Frame>) {
        let frames: Vec<Frame> = (0..12).flat_map(|number| batch(number, 2)).collect();
        let web = Web::start_with(name, &frames, &["--every", "200ms"]);
        web.until_read(frames.len() as u64);
        (web, frames)
    }

    pub fn get(&self, path: &str) -> Response {
        get(&self.address, path)
    }

    /// The JSON of an answer that must be one.
    pub fn json(&self, path: &str) -> Value {
        let response = self.get(path);
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.json()
    }

    /// Waits until a tick tells that so many frames were read.
    pub fn until_read(&self, frames: u64) -> Value {
        wait_until(SOON, "all frames are read", || {
            let stats = self.get("/v1/stats");
            let tick = (stats.status == 200).then(|| stats.json())?;
            (tick["frames"]["read"].as_u64()? >= frames).then_some(tick)
        })
    }
}

/// A service on a job's brokers, and where it answers.
pub fn serve(job: &Job, options: &[&str]) -> (Service, String) {
    let mut options = options.to_vec();
    // However long a busy machine takes: time does not walk on.
    options.extend(["--http", "127.0.0.1:0", "--idle-timeout", "1h"]);
    let mut service = Service::spawn(job.command(&options));
    let line = service.stderr_line("answering over HTTP", SOON);
    let line = &log_lines(&line, "answering")[0];
    let url = line["address"].as_str().expect("an address");
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    (service, address.to_owned())
}
