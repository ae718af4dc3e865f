//! What Python code tries in order to get out. Each body is put into `frame.py`, which says that it was begun and what came
//! of it; what it is given comes by its input, so that no proof stands in a program.

use super::trials::{Kind, Proof};

/// Says hello with its word turned.
pub(super) const HELLO: &str = include_str!("hello.py");
/// Plants a marker.
pub(super) const PLANTS: &str = include_str!("plants.py");
/// Stays for a while, with a marker.
pub(super) const STAYS: &str = include_str!("stays.py");
const FRAME: &str = include_str!("frame.py");

/// Where a job may leave something that another finds.
pub(super) const PLACES: [&str; 7] = [".", "$HOME", "/tmp", "/var/tmp", "/dev/shm", "/run", "/mnt"];

/// Something that is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) proof: Proof,
    body: &'static str,
}

impl Attempt {
    const fn new(kind: Kind, name: &'static str, proof: Proof, body: &'static str) -> Self {
        Self { name, kind, proof, body }
    }

    /// The program.
    pub(super) fn program(&self) -> String {
        let body: Vec<String> =
            self.body.trim().lines().map(|line| format!("    {}", line.trim_end())).collect();
        FRAME.replace("#BODY#", &body.join("\n"))
    }
}

/// Everything that is tried.
pub(super) const ATTEMPTS: &[Attempt] = &[
    // The network.
    Attempt::new(
        Kind::Network,
        "a connection",
        Proof::Heard,
        r#"
import socket
def one(address):
    with socket.create_connection((address, given["port"]), 1.0) as stream:
        stream.sendall(given["token"].encode())
        return str(stream.getsockname()).encode()
return each([lambda address=address: one(address) for address in given["addresses"]])
"#,
    ),
    Attempt::new(
        Kind::Network,
        "a web page",
        Proof::Heard,
        r#"
import urllib.request
def one(address):
    host = "[%s]" % address if ":" in address else address
    url = "http://%s:%d/%s" % (host, given["port"], given["token"])
    return urllib.request.urlopen(url, timeout=1).read(64) or b"read"
return each([lambda address=address: one(address) for address in given["addresses"]])
"#,
    ),
    Attempt::new(
        Kind::Network,
        "a datagram",
        Proof::Heard,
        r#"
import socket
def one(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as box:
        box.sendto(given["token"].encode(), (address, given["port"]))
sent, first = b"", None
for address in given["addresses"]:
    try:
        one(address)
        sent = b"sent"
    except OSError as error:
        first = first or error
if first and not sent:
    raise first
return sent
"#,
    ),
    Attempt::new(
        Kind::Network,
        "a connection by IPv4 inside IPv6",
        Proof::Heard,
        r#"
import socket
def one(address):
    with socket.socket(socket.AF_INET6) as stream:
        stream.settimeout(1.0)
        stream.connect(("::ffff:" + address, given["port"]))
        stream.sendall(given["token"].encode())
        return str(stream.getsockname()).encode()
return each([lambda address=address: one(address) for address in given["addresses"] if ":" not in address])
"#,
    ),
    Attempt::new(
        Kind::Network,
        "a connection by the C library",
        Proof::Heard,
        r#"
import ctypes, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
def one(address):
    handle = libc.socket(2, 1, 0)
    if handle < 0:
        raise OSError(ctypes.get_errno(), "socket")
    where = struct.pack("=HH4s8x", 2, socket.htons(given["port"]), socket.inet_aton(address))
    if libc.connect(handle, where, 16) != 0:
        raise OSError(ctypes.get_errno(), "connect")
    word = given["token"].encode()
    libc.send(handle, word, len(word), 0)
    libc.close(handle)
    return b"connected"
return each([lambda address=address: one(address) for address in given["addresses"] if ":" not in address])
"#,
    ),
    Attempt::new(
        Kind::Network,
        "a connection by another program",
        Proof::Heard,
        r#"
import subprocess
def one(address):
    line = "echo %s > /dev/tcp/%s/%d" % (given["token"], address, given["port"])
    return subprocess.run(["bash", "-c", line], timeout=2, capture_output=True, check=True).stdout or b"sent"
return each([lambda address=address: one(address) for address in given["addresses"]])
"#,
    ),
    Attempt::new(
        Kind::Network,
        "the sandbox's own API",
        Proof::Web,
        r#"
return asks((given["api_host"], given["api_port"]), "GET / HTTP/1.0\r\n\r\n")
"#,
    ),
    Attempt::new(
        Kind::Network,
        "a name of the world",
        Proof::Address,
        r#"
import socket
return b" ".join(found[4][0].encode() for found in socket.getaddrinfo("example.com", 443))
"#,
    ),
    // What a cloud tells its machines.
    Attempt::new(
        Kind::Metadata,
        "the metadata address",
        Proof::Web,
        r#"
return asks(("169.254.169.254", 80), "GET /latest/meta-data/ HTTP/1.0\r\nHost: 169.254.169.254\r\n\r\n")
"#,
    ),
    Attempt::new(
        Kind::Metadata,
        "the metadata address, with a header that it wants",
        Proof::Web,
        r#"
return asks(("169.254.169.254", 80), "GET /computeMetadata/v1/ HTTP/1.0\r\nMetadata-Flavor: Google\r\n\r\n")
"#,
    ),
    Attempt::new(
        Kind::Metadata,
        "the metadata address in another spelling",
        Proof::Web,
        r#"
return asks(("2852039166", 80), "GET /metadata/instance HTTP/1.0\r\nMetadata: true\r\n\r\n")
"#,
    ),
    Attempt::new(
        Kind::Metadata,
        "the metadata address of IPv6",
        Proof::Web,
        r#"
import socket
return asks(("fd00:ec2::254", 80), "GET /latest/meta-data/ HTTP/1.0\r\n\r\n", socket.AF_INET6)
"#,
    ),
    Attempt::new(
        Kind::Metadata,
        "the address of a task's credentials",
        Proof::Web,
        r#"
return asks(("169.254.170.2", 80), "GET /v2/credentials HTTP/1.0\r\n\r\n")
"#,
    ),
    // The host's files.
    Attempt::new(
        Kind::Host,
        "a file of the host",
        Proof::Planted,
        r#"
return each([lambda path=path: read(path) for path in given["paths"]])
"#,
    ),
    Attempt::new(
        Kind::Host,
        "a file of the host from far below",
        Proof::Planted,
        r#"
return each([lambda path=path: read("../" * 24 + path.lstrip("/")) for path in given["paths"]])
"#,
    ),
    Attempt::new(
        Kind::Host,
        "a file of the host by the first process",
        Proof::Planted,
        r#"
return each([lambda path=path: read("/proc/1/root" + path) for path in given["paths"]])
"#,
    ),
    Attempt::new(
        Kind::Host,
        "a file of the host by other processes",
        Proof::Planted,
        r#"
roots = ["/proc/%s/%s" % (number, way) for number in os.listdir("/proc") if number.isdigit() for way in ("root", "cwd")]
return each([lambda path=path, root=root: read(root + path) for path in given["paths"] for root in roots[:200]])
"#,
    ),
    Attempt::new(
        Kind::Host,
        "a file of the host by a symbolic link",
        Proof::Planted,
        r#"
def one(number, path):
    os.symlink(path, "link-%d" % number)
    return read("link-%d" % number)
return each([lambda number=number, path=path: one(number, path) for number, path in enumerate(given["paths"])])
"#,
    ),
    Attempt::new(
        Kind::Host,
        "a file of the host by a hard link",
        Proof::Planted,
        r#"
def one(number, path):
    os.link(path, "hard-%d" % number)
    return read("hard-%d" % number)
return each([lambda number=number, path=path: one(number, path) for number, path in enumerate(given["paths"])])
"#,
    ),
    Attempt::new(
        Kind::Host,
        "a file of the host by folders that are open already",
        Proof::Planted,
        r#"
def one(handle, path):
    for way in (path.lstrip("/"), "../" * 24 + path.lstrip("/")):
        found = os.open(way, os.O_RDONLY, dir_fd=handle)
        return os.read(found, 4096)
return each([lambda handle=handle, path=path: one(handle, path) for path in given["paths"] for handle in range(3, 40)])
"#,
    ),
    Attempt::new(
        Kind::Host,
        "a file of the host by another program",
        Proof::Planted,
        r#"
import subprocess
return each([lambda path=path: subprocess.run(["cat", path], timeout=2, capture_output=True, check=True).stdout for path in given["paths"]])
"#,
    ),
    Attempt::new(
        Kind::Host,
        "a file of the host by the C library",
        Proof::Planted,
        r#"
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def one(path):
    handle = libc.open(path.encode(), 0)
    if handle < 0:
        raise OSError(ctypes.get_errno(), "open")
    room = ctypes.create_string_buffer(4096)
    return room.raw[: max(libc.read(handle, room, 4096), 0)]
return each([lambda path=path: one(path) for path in given["paths"]])
"#,
    ),
    Attempt::new(
        Kind::Host,
        "a file beside one of the host's, to write",
        Proof::Written,
        r#"
def one(path):
    with open(os.path.join(os.path.dirname(path), "escaped-" + given["token"]), "w") as file:
        file.write(given["token"])
    return b"written"
return each([lambda path=path: one(path) for path in given["paths"]])
"#,
    ),
    Attempt::new(
        Kind::Host,
        "the identity of the machine",
        Proof::Here("/etc/machine-id"),
        r#"
return read("/etc/machine-id")
"#,
    ),
    Attempt::new(
        Kind::Host,
        "the passwords of the machine",
        Proof::Here("/etc/shadow"),
        r#"
return read("/etc/shadow")
"#,
    ),
    Attempt::new(
        Kind::Host,
        "the environment of the first process",
        Proof::Here("/proc/1/environ"),
        r#"
return read("/proc/1/environ")
"#,
    ),
    Attempt::new(
        Kind::Host,
        "the socket of the container engine",
        Proof::Web,
        r#"
import socket
paths = ["/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock", "/run/crio/crio.sock", "/run/containerd/containerd.sock"]
return each([lambda path=path: asks(path, "GET /_ping HTTP/1.0\r\n\r\n", socket.AF_UNIX) for path in paths])
"#,
    ),
    // What belongs to another community.
    Attempt::new(
        Kind::Tenant,
        "another community's file in the own folder",
        Proof::Marker,
        r#"
return each([lambda way=way: read(way + given["name"]) for way in ("", "../", "../../")])
"#,
    ),
    Attempt::new(
        Kind::Tenant,
        "another community's file where all may write",
        Proof::Marker,
        r#"
return each([lambda place=place: read(os.path.join(os.path.expandvars(place), given["name"])) for place in given["places"]])
"#,
    ),
    Attempt::new(
        Kind::Tenant,
        "another community's file wherever it is",
        Proof::Marker,
        r#"
import time
until = time.monotonic() + 1.0
for folder, _, names in os.walk("..", onerror=None):
    if given["name"] in names:
        return read(os.path.join(folder, given["name"]))
    if time.monotonic() > until:
        break
raise FileNotFoundError(2, "nothing there")
"#,
    ),
    // More than a job may have.
    Attempt::new(
        Kind::Bounds,
        "more time than it was given",
        Proof::Time,
        r#"
import time
time.sleep(given["sleeps_ms"] / 1000)
return b"slept"
"#,
    ),
    Attempt::new(
        Kind::Bounds,
        "more memory than it was given",
        Proof::Says,
        r#"
room = bytearray(given["memory"] * 2)
for place in range(0, len(room), 4096):
    room[place] = 1
return str(sum(room[::4096])).encode()
"#,
    ),
    Attempt::new(
        Kind::Bounds,
        "more output than it was given",
        Proof::Output,
        r#"
for _ in range(8):
    os.write(1, b"x" * given["output"])
return b"said"
"#,
    ),
    Attempt::new(
        Kind::Bounds,
        "processes without end",
        Proof::Says,
        r#"
import time
children = []
try:
    for _ in range(256):
        child = os.fork()
        if child == 0:
            time.sleep(0.5)
            os._exit(0)
        children.append(child)
finally:
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
return str(len(children)).encode()
"#,
    ),
];
