//! The zones on a loopback socket: UDP and TCP on one port.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    struck,
    zones::{Over, Zones},
};
use crate::{cloud::door::Broken, parts::connections::each};

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
        let of_one = move |stream| {
            let zones = zones.clone();
            async move {
                // Whoever went away wants no more answers.
                let _gone = connection(stream, zones).await;
            }
        };
        tokio::spawn(each(tcp, stop.clone(), of_one));
        Ok(Self { address, stop })
    }
}

/// The answers to a request, once what it changed outlives the process; none when it could not be kept.
///
/// # Errors
/// When a fault asks for no answer.
async fn answers(zones: &Zones, request: &[u8], over: Over) -> Result<Vec<Vec<u8>>, Broken> {
    let struck = struck::struck(zones, request);
    if !struck.latency().is_zero() {
        tokio::time::sleep(struck.latency()).await;
    }
    if struck.resets_before() {
        return Err(Broken::Reset);
    }
    if struck.refusal().is_some() {
        return Ok(struck::refused(request));
    }
    let answers = zones.exchange_by(struck.skew(), request, over);
    let kept = zones.kept().await.is_ok();
    match () {
        () if struck.resets_after() => Err(Broken::Reset),
        () if struck.loses_reply() => Err(Broken::Silence),
        () => Ok(if kept { answers } else { Vec::new() }),
    }
}

async fn packets(socket: UdpSocket, zones: Arc<Zones>, stop: CancellationToken) {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; usize::from(u16::MAX)];
    // Nobody waits for an answer that takes longer to somebody else.
    let mut answering = JoinSet::new();
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = stop.cancelled() => return,
            Some(_) = answering.join_next() => continue,
        };
        // A client that went away is told of here; that is its own business.
        let Ok((length, from)) = received else { continue };
        let (socket, zones, request) = (socket.clone(), zones.clone(), buffer[..length].to_vec());
        answering.spawn(async move {
            // By packets, a broken connection is silence as well.
            for answer in answers(&zones, &request, Over::Udp).await.unwrap_or_default() {
                let _gone = socket.send_to(&answer, from).await;
            }
        });
    }
}

/// Requests of one client, until it goes away.
async fn connection(mut stream: TcpStream, zones: Arc<Zones>) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut request = vec![0; usize::from(length)];
        stream.read_exact(&mut request).await?;
        let answers = match answers(&zones, &request, Over::Tcp).await {
            Ok(answers) => answers,
            Err(broken) => broken.end().await.map_err(std::io::Error::other)?,
        };
        if answers.is_empty() {
            return Ok(());
        }
        for answer in answers {
            let length = u16::try_from(answer.len()).map_err(|_| std::io::ErrorKind::InvalidData)?;
            stream.write_all(&[&length.to_be_bytes(), &answer[..]].concat()).await?;
        }
    }
}
