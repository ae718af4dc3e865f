//! nginx as a plain reverse proxy: what the gate is compared with.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::proc;
use super::program::{Program, free_address, lasting};

/// Paths of the same upstream, one for each way of passing an answer on.
pub(super) const BUFFERED: &str = "/v1/chat/completions";
pub(super) const UNBUFFERED: &str = "/unbuffered/v1/chat/completions";

/// A running nginx.
#[derive(Debug)]
pub(super) struct Nginx {
    program: Program,
    pub(super) address: SocketAddr,
}

impl Nginx {
    /// Starts it in front of `upstream`, with everything it writes in `folder`.
    pub(super) fn start(folder: &Path, upstream: SocketAddr) -> Result<Self> {
        let address = free_address()?;
        fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration(folder, address, upstream))
            .with_context(|| format!("`{}` cannot be written", file.display()))?;
        let mut command = lasting("nginx");
        // `-e` because nginx opens its built-in error log before it has read where that is to be.
        command.arg("-p").arg(folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(&file);
        let mut program = Program::start("nginx", &mut command)?;
        program.wait_for(address)?;
        Ok(Self { program, address })
    }

    /// The master, which only waits, and the workers.
    pub(super) fn processes(&self) -> Result<Vec<u32>> {
        let master = self.program.id();
        let mut all = proc::children(master)?;
        all.push(master);
        Ok(all)
    }

    pub(super) fn stop(self) -> Result<()> {
        self.program.stop()
    }
}

/// Its version, as `nginx -v` prints it.
pub(super) fn version() -> Result<String> {
    // On standard error, of all places.
    let output = Command::new("nginx").arg("-v").output().context("nginx cannot be started")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(said.trim().trim_start_matches("nginx version: ").to_owned())
}

/// As fast as nginx goes without giving up what both do: connections kept on both sides, a line in a log for each
/// request, one worker for each processor, and streams passed on unbuffered, or their frames would arrive late.
fn configuration(folder: &Path, listen: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        r#"daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_body_buffer_size 64k;
    keepalive_requests 1000000000;
    upstream model {{
        server {upstream};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen};
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location /v1/ {{ proxy_pass http://model; }}
        location /unbuffered/v1/ {{ proxy_pass http://model/v1/; proxy_buffering off; }}
    }}
}}
"#
    )
}
