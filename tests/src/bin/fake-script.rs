//! Proxies that follow scripts. Reads `listen PORT PROTOCOL STEP…` and `sync`, answers each with `ok`, and
//! writes `request PORT HOST:PORT` for each request. `underpass_tests::proxies::script` drives it.

use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use underpass_tests::listening::{self, say, take, take_vec};
use underpass_tests::proxies::script::Step;

fn main() -> io::Result<()> {
    say("ready");
    for line in io::stdin().lock().lines() {
        let line = line?;
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["listen", port, protocol, ref steps @ ..] => {
                let port = port.parse().expect("a port");
                let steps: Vec<_> = steps.iter().map(|step| step.parse().expect("a step")).collect();
                start(port, protocol, &steps)?;
            }
            ["sync"] => {}
            _ => panic!("unknown command {line:?}"),
        }
        say("ok");
    }
    Ok(())
}

fn start(port: u16, protocol: &str, steps: &[Step]) -> io::Result<()> {
    let scripts: Vec<_> = steps.split(|step| *step == Step::NextTime).map(<[Step]>::to_vec).collect();
    let (mut scripts, mut steps) = (scripts.into_iter(), Vec::new());
    let protocol = protocol.to_owned();
    listening::serve(listening::listen(port)?, move || {
        steps = scripts.next().unwrap_or_else(|| std::mem::take(&mut steps));
        let (protocol, steps) = (protocol.clone(), steps.clone());
        move |client| serve(client, port, &protocol, &steps)
    });
    Ok(())
}

fn serve(mut client: TcpStream, port: u16, protocol: &str, steps: &[Step]) -> io::Result<()> {
    let mut asked = String::new();
    let mut far = None;
    let no_far = || io::Error::from(io::ErrorKind::NotConnected);
    for step in steps {
        match step {
            Step::Greeting => {
                let [_, count] = take(&mut client)?;
                take_vec(&mut client, count)?;
            }
            Step::Login => {
                let [_, length] = take(&mut client)?;
                take_vec(&mut client, length)?;
                let [length] = take(&mut client)?;
                take_vec(&mut client, length)?;
            }
            Step::Request => {
                asked = match protocol {
                    "socks4" => socks4_request(&mut client)?,
                    "socks5" => socks5_request(&mut client)?,
                    _ => http_request(&mut client)?,
                };
                say(&format!("request {port} {asked}"));
            }
            Step::Send(bytes) => client.write_all(bytes)?,
            Step::Slowly(bytes) => {
                for byte in bytes {
                    client.write_all(&[*byte])?;
                    thread::sleep(Duration::from_millis(2));
                }
            }
            Step::Flood(bytes) => {
                let bytes = bytes.repeat(65536 / bytes.len().max(1));
                loop {
                    client.write_all(&bytes)?;
                }
            }
            Step::Connect => {
                let stream = TcpStream::connect(&asked)?;
                stream.set_nodelay(true)?;
                far = Some(stream);
            }
            Step::Coalesced(bytes) => {
                let first = some(far.as_mut().ok_or_else(no_far)?)?;
                client.write_all(&[&bytes[..], &first].concat())?;
            }
            Step::PassSome => {
                client.write_all(&some(far.as_mut().ok_or_else(no_far)?)?)?;
                // Who speaks has seen them.
                some(&mut client)?;
            }
            Step::Relay => return relay(client, far.take().ok_or_else(no_far)?),
            Step::Hold => drop(io::copy(&mut client, &mut io::sink())?),
            Step::NextTime => unreachable!("scripts are parted there"),
            Step::Reset => {
                // Else the reset may overtake the bytes.
                thread::sleep(Duration::from_millis(30));
                set_socket_linger(&client, Some(Duration::ZERO))?;
            }
        }
    }
    Ok(())
}

fn socks4_request(client: &mut TcpStream) -> io::Result<String> {
    let [_version, _command, port @ .., a, b, c, d] = take::<8>(client)?;
    string(client)?;
    let host = match [a, b, c, d] {
        [0, 0, 0, last] if last != 0 => string(client)?,
        [a, b, c, d] => format!("{a}.{b}.{c}.{d}"),
    };
    Ok(format!("{host}:{}", u16::from_be_bytes(port)))
}

/// To a byte 0.
fn string(client: &mut TcpStream) -> io::Result<String> {
    let mut text = Vec::new();
    loop {
        match take(client)? {
            [0] => return Ok(String::from_utf8_lossy(&text).into_owned()),
            [byte] => text.push(byte),
        }
    }
}

fn socks5_request(client: &mut TcpStream) -> io::Result<String> {
    let [_, _, _, kind] = take(client)?;
    let host = match kind {
        1 => std::net::Ipv4Addr::from(take::<4>(client)?).to_string(),
        4 => format!("[{}]", std::net::Ipv6Addr::from(take::<16>(client)?)),
        _ => {
            let [length] = take(client)?;
            String::from_utf8_lossy(&take_vec(client, length)?).into_owned()
        }
    };
    Ok(format!("{host}:{}", u16::from_be_bytes(take(client)?)))
}

fn http_request(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(take::<1>(client)?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    Ok(head.split(' ').nth(1).unwrap_or_default().to_owned())
}

fn relay(client: TcpStream, far: TcpStream) -> io::Result<()> {
    let (client_too, far_too) = (client.try_clone()?, far.try_clone()?);
    let up = thread::spawn(move || pass(&client_too, &far_too));
    pass(&far, &client);
    let _ = up.join();
    Ok(())
}

fn pass(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

fn some(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut first = vec![0; 4096];
    let length = stream.read(&mut first)?;
    first.truncate(length);
    Ok(first)
}
