//! Listens on this machine for code that was to have no network: what comes is an effect, whatever the code says of itself.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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
    /// Listens on all of this machine's addresses, of both versions of IP where it has both, and shows that it hears: on loopback, on
    /// the one that others reach, and on those of `reach` that are this machine's.
    ///
    /// # Errors
    /// When no port can be had, or when what this machine sends itself is not heard.
    pub async fn listen(&mut self, reach: &[IpAddr]) -> Result<Ear, Inconclusive> {
        let failed =
            |error: Error| Inconclusive::because(format!("nothing can be listened on here: {error}"));
        let Open { port, tcp, udp } = open().await.map_err(failed)?;
        let mut own = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        own.extend(is_here(Ipv6Addr::LOCALHOST.into()).await.then_some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        own.extend(outward().await.filter(|address| !address.is_loopback()));
        let (heard, stop) = (Arc::new(Mutex::new(Vec::new())), watch::Sender::new(()));
        let tasks = Tasks::new();
        for listener in tcp {
            tasks.spawn(connections(listener, Arc::clone(&heard), tasks.clone(), stop.subscribe()));
        }
        for socket in udp {
            tasks.spawn(datagrams(socket, Arc::clone(&heard), stop.subscribe()));
        }
        let ear = Ear { port, addresses: own, heard, _stop: stop };
        let mut here = Vec::new();
        for address in reach {
            if is_here(*address).await {
                here.push(*address);
            }
        }
        for (number, address) in ear.addresses.iter().chain(&here).enumerate() {
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

/// Sockets at one port.
struct Open {
    port: u16,
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
}

/// A socket of IPv6 hears IPv4 too on some machines and not on others, and some have no IPv6.
async fn open() -> Result<Open, Error> {
    let six = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).await;
    let first = match six {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?,
    };
    let first_at = first.local_addr()?;
    let port = first_at.port();
    let (mut tcp, mut udp) = (vec![first], vec![UdpSocket::bind((first_at.ip(), port)).await?]);
    if first_at.is_ipv6() {
        tcp.extend(besides(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await)?);
        udp.extend(besides(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await)?);
    }
    Ok(Open { port, tcp, udp })
}

/// The same port for IPv4. It is in use where the socket of IPv6 has it; what has it otherwise is seen by not being heard.
fn besides<T>(bound: Result<T, Error>) -> Result<Option<T>, Error> {
    match bound {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an address is this machine's.
async fn is_here(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).await.is_ok()
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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};
    use std::sync::Arc;

    use portcullis_core::SystemClock;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::{TcpListener, TcpStream, UdpSocket};

    use crate::probe::{Budget, Probe, Sources, Traffic};
    use crate::target::Target;

    fn probe() -> Probe {
        let target = Arc::new(Target::new("t", "http://127.0.0.1:9").unwrap());
        let sources = Sources::new(&target, 9, 1);
        let (clock, budget) = (Arc::new(SystemClock::new()), Budget::default());
        Probe::new(target, clock, budget, sources, Traffic::default(), false)
    }

    #[tokio::test]
    async fn what_comes_by_ipv6_is_heard_as_what_comes_by_ipv4() {
        let ear = probe().listen(&[]).await.expect("a port");
        let mut addresses = vec![IpAddr::from([127, 0, 0, 1])];
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok() {
            addresses.push(Ipv6Addr::LOCALHOST.into());
        } else {
            println!("SKIPPED ipv6: this machine has no ::1");
        }
        for (number, address) in addresses.into_iter().enumerate() {
            let mut stream = TcpStream::connect((address, ear.port())).await.expect("it listens");
            stream.write_all(format!("by-stream-{number}").as_bytes()).await.expect("it takes it");
            assert!(ear.heard(&format!("by-stream-{number}")).await, "{address}");
            let socket = UdpSocket::bind((address, 0)).await.expect("a port");
            let word = format!("by-datagram-{number}");
            socket.send_to(word.as_bytes(), (address, ear.port())).await.expect("it is sent");
            assert!(ear.heard(&word).await, "{address}");
        }
    }
}
