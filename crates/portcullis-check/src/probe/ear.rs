//! Listens on this machine for code that was to have no network: what comes is an effect, whatever the code says of itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_core::Tasks;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;

use super::Probe;
use crate::outcome::Inconclusive;

/// The most that is read of what one connection says.
const MOST_BYTES: u64 = 512;
/// How long a connection may take to say it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Looks for a word that is on its way.
const LOOKS: usize = 20;
/// Between two looks.
const BETWEEN: Duration = Duration::from_millis(10);
/// The most that is remembered; a word of a check is among the last.
const MOST_HEARD: usize = 4_096;
/// Reserved for documents: nothing is sent there, and the way there leads out of this machine.
const OUTSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// Open ports of this machine, by TCP and UDP. Dropping it closes them.
#[derive(Debug)]
pub struct Ear {
    port: u16,
    addresses: Vec<IpAddr>,
    heard: Arc<Mutex<Vec<String>>>,
    _stop: watch::Sender<()>,
}

impl Probe {
    /// Listens on all of this machine's addresses, and shows that it hears: on loopback, and on the one that others reach.
    ///
    /// # Errors
    /// When no port can be had, or when what this machine sends itself is not heard.
    pub async fn listen(&mut self, reach: &[IpAddr]) -> Result<Ear, Inconclusive> {
        let failed = |error: std::io::Error| {
            Inconclusive::because(format!("nothing can be listened on here: {error}"))
        };
        let tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.map_err(failed)?;
        let port = tcp.local_addr().map_err(failed)?.port();
        let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await.map_err(failed)?;
        let mut own = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        own.extend(outward().await.filter(|address| !address.is_loopback()));
        let (heard, stop) = (Arc::new(Mutex::new(Vec::new())), watch::Sender::new(()));
        let tasks = Tasks::new();
        tasks.spawn(connections(tcp, Arc::clone(&heard), tasks.clone(), stop.subscribe()));
        tasks.spawn(datagrams(udp, Arc::clone(&heard), stop.subscribe()));
        let ear = Ear { port, addresses: own, heard, _stop: stop };
        for (number, address) in ear.addresses.iter().enumerate() {
            let word = format!("own-word-{number}-{port}");
            if let Ok(mut stream) = TcpStream::connect((*address, port)).await {
                // What cannot be sent is not heard.
                let _ = stream.write_all(word.as_bytes()).await;
            }
            if !ear.heard(&word).await {
                return Err(Inconclusive::because(format!(
                    "what this machine sends itself by {address} is not heard, so nothing that gets out would be"
                )));
            }
        }
        let addresses: Vec<IpAddr> = ear.addresses.iter().chain(reach).copied().collect();
        self.observe("listens for what gets out", &format!("{addresses:?}, port {port}"));
        Ok(Ear { addresses, ..ear })
    }
}

impl Ear {
    /// The port, by TCP and by UDP.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where it may be reached.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Whether this word came, or comes in a moment.
    pub async fn heard(&self, word: &str) -> bool {
        for _ in 0..LOOKS {
            if self
                .heard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .any(|said| said.contains(word))
            {
                return true;
            }
            tokio::time::sleep(BETWEEN).await;
        }
        false
    }
}

/// The address by which this machine goes out.
async fn outward() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
    socket.connect(OUTSIDE).await.ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn keep(heard: &Mutex<Vec<String>>, bytes: &[u8]) {
    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    if heard.len() >= MOST_HEARD {
        heard.remove(0);
    }
    heard.push(String::from_utf8_lossy(bytes).into_owned());
}

async fn connections(
    listener: TcpListener,
    heard: Arc<Mutex<Vec<String>>>,
    tasks: Tasks,
    mut stop: watch::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Its sender is gone with the ear.
            _ = stop.changed() => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        tasks.spawn(hear(stream, Arc::clone(&heard)));
    }
}

async fn hear(mut stream: TcpStream, heard: Arc<Mutex<Vec<String>>>) {
    let mut said = Vec::new();
    let (reader, mut writer) = stream.split();
    // Kept after each piece: some say a word and stay, and what is half said is said.
    let mut reader = reader.take(MOST_BYTES);
    let reading = async {
        while let Ok(more @ 1..) = reader.read_buf(&mut said).await {
            let _ = more;
            keep(&heard, &said);
        }
    };
    let _ = tokio::time::timeout(PATIENCE, reading).await;
    let _ = writer.shutdown().await;
}

async fn datagrams(socket: UdpSocket, heard: Arc<Mutex<Vec<String>>>, mut stop: watch::Receiver<()>) {
    let mut buffer = [0; 512];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                if let Ok((length, _)) = received {
                    keep(&heard, buffer.get(..length).unwrap_or_default());
                }
            }
            _ = stop.changed() => return,
        }
    }
}
