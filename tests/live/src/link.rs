//! What is done to connections.

use std::time::Duration;

use rollcall_proxy::{Direction, Proxy};

use crate::fault::Harm;

/// Harms everything that goes through these proxies for a while. What was swallowed never comes in the middle of a connection that goes
/// on: TCP loses nothing but ends.
pub async fn harm(proxies: &[&Proxy], harm: Harm, for_ms: u64) {
    let each = |change: &dyn Fn(&Proxy)| proxies.iter().for_each(|proxy| change(proxy));
    let swallows = |direction: Direction| move |proxy: &Proxy, swallows: bool| proxy.swallow(direction, swallows);
    match harm {
        Harm::Cut => each(&Proxy::cut),
        Harm::Refused => each(&|proxy| {
            proxy.refuse(true);
            proxy.cut();
        }),
        Harm::Delayed(ms) => each(&|proxy| proxy.delay(Duration::from_millis(ms))),
        Harm::Held(direction) => each(&|proxy| proxy.hold(direction, true)),
        Harm::Lost(direction) => each(&|proxy| swallows(direction)(proxy, true)),
        Harm::BlackHole => each(&|proxy| proxy.black_hole(true)),
    }
    tokio::time::sleep(Duration::from_millis(for_ms)).await; // pace: how long the fault lasts
    match harm {
        Harm::Cut => {}
        Harm::Refused => each(&|proxy| proxy.refuse(false)),
        Harm::Delayed(_) => each(&|proxy| proxy.delay(Duration::ZERO)),
        Harm::Held(direction) => each(&|proxy| proxy.hold(direction, false)),
        Harm::Lost(_) | Harm::BlackHole => each(&|proxy| {
            // First what has lost something ends; what is new then is whole.
            proxy.cut();
            proxy.black_hole(false);
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Whatever happens to a link, what arrives is what was sent, up to where it ends; and after it, everything arrives.
    #[tokio::test]
    async fn nothing_is_missing_in_the_middle_and_all_is_well_after() {
        let ways = [Direction::Up, Direction::Down];
        let one_way = ways.into_iter().flat_map(|way| [Harm::Held(way), Harm::Lost(way)]);
        for harmed in [Harm::Cut, Harm::Refused, Harm::Delayed(20), Harm::BlackHole].into_iter().chain(one_way) {
            let proxy = Proxy::start(echo_server().await).await.unwrap();
            let talk = async {
                let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
                for number in 0..40_u32 {
                    stream.write_all(&number.to_be_bytes()).await.ok();
                    tokio::time::sleep(Duration::from_millis(5)).await; // pace: some before the harm, some in it, some after
                }
                stream.shutdown().await.ok();
                let mut heard = Vec::new();
                stream.read_to_end(&mut heard).await.ok();
                heard
            };
            let proxies = [&proxy];
            let ((), heard) = tokio::join!(harm(&proxies, harmed, 60), talk);
            let sent: Vec<u8> = (0..40_u32).flat_map(u32::to_be_bytes).collect();
            assert!(sent.starts_with(&heard), "{harmed}: {heard:?}");

            let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
            stream.write_all(b"whole").await.unwrap();
            let mut heard = [0; 5];
            stream.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"whole", "{harmed}");
        }
    }

    async fn echo_server() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await.ok();
                });
            }
        });
        address
    }
}
