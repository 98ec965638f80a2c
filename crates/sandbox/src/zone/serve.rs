//! The zones on a loopback socket: UDP and TCP on one port.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::zones::{Over, Zones};

/// How many free ports are tried until one is free for both protocols.
const TRIES: usize = 16;

/// A running server. When it is dropped, it stops.
pub struct Server {
    /// Where it listens, by both protocols.
    pub address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Server {
    /// Serves zones on an address; port 0 is any that is free.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn start(zones: Arc<Zones>, address: SocketAddr) -> std::io::Result<Self> {
        let mut tries = if address.port() == 0 { TRIES } else { 1 };
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind(address).await?;
            match UdpSocket::bind(tcp.local_addr()?).await {
                Ok(udp) => break (udp, tcp),
                Err(error) if tries == 1 => return Err(error),
                Err(_) => tries -= 1,
            }
        };
        let address = tcp.local_addr()?;
        let stop = CancellationToken::new();
        tokio::spawn(packets(udp, zones.clone(), stop.clone()));
        tokio::spawn(connections(tcp, zones, stop.clone()));
        Ok(Self { address, stop })
    }
}

/// The answers to a request, once what it changed outlives the process; none when it could not be kept.
async fn answers(zones: &Zones, request: &[u8], over: Over) -> Vec<Vec<u8>> {
    let answers = zones.exchange(request, over);
    if zones.kept().await.is_ok() { answers } else { Vec::new() }
}

async fn packets(socket: UdpSocket, zones: Arc<Zones>, stop: CancellationToken) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = stop.cancelled() => return,
        };
        // A client that went away is told of here; that is its own business.
        let Ok((length, from)) = received else { continue };
        for answer in answers(&zones, &buffer[..length], Over::Udp).await {
            let _gone = socket.send_to(&answer, from).await;
        }
    }
}

async fn connections(listener: TcpListener, zones: Arc<Zones>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else { continue };
        connections.spawn(connection(stream, zones.clone()));
    }
}

/// Requests of one client, until it goes away.
async fn connection(mut stream: TcpStream, zones: Arc<Zones>) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut request = vec![0; usize::from(length)];
        stream.read_exact(&mut request).await?;
        let answers = answers(&zones, &request, Over::Tcp).await;
        if answers.is_empty() {
            return Ok(());
        }
        for answer in answers {
            let length = u16::try_from(answer.len()).map_err(|_| std::io::ErrorKind::InvalidData)?;
            stream.write_all(&[&length.to_be_bytes(), &answer[..]].concat()).await?;
        }
    }
}
