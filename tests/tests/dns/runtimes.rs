//! Programs with a resolver of their own, c-ares, by TCP; and the same by getaddrinfo.

use crate::place::{Native, Place};

const NODE: &str = "
const dns = require('dns').promises;
const show = (what, asked) => asked.then(
    found => console.log(what, JSON.stringify(found)), error => console.log(what, error.code));
(async () => {
    dns.setServers([process.argv[1]]);
    const order = (a, b) => a.priority - b.priority;
    await show('mx', dns.resolveMx('mail.test').then(found => found.sort(order)));
    await show('txt', dns.resolveTxt('text.test'));
    await show('srv', dns.resolveSrv('_sip._tcp.test'));
    await show('naptr', dns.resolveNaptr('naptr.test'));
    await show('caa', dns.resolveCaa('caa.test'));
    await show('ptr', dns.resolvePtr('9.0.99.10.in-addr.arpa'));
    await show('none', dns.resolveMx('missing.test'));
    await show('no data', dns.resolveMx('echo.test'));
})();
";

#[test]
fn node_resolves_other_types_as_natively() {
    let (native, place) = (Native::new(), Place::new());
    let natively = native.run("node", &["-e", NODE, "10.77.0.1"]).success();
    assert!(natively.contains("mx [{\"exchange\":\"mx1.test\",\"priority\":10}"), "{natively}");
    let script = place.with(&[], "node").env("RES_OPTIONS", "use-vc");
    assert_eq!(script.args(["-e", NODE, "10.77.0.1"]).run().success(), natively);
    place.no_leaks();
}

const ADDRESSES: &str = "
const dns = require('dns');
dns.setServers(['127.0.0.53']);
const connect = address => new Promise((resolve, reject) => {
    require('net').connect(7001, address).on('data', bytes => resolve(String(bytes).trim())).on('error', reject);
});
(async () => {
    const [resolved] = await dns.promises.resolve4('echo.test');
    console.log(resolved.startsWith('198.18.'), await connect(resolved));
    const { address } = await dns.promises.lookup('echo.test');
    console.log(address === resolved, (await dns.promises.reverse(resolved)).join());
    console.log(await dns.promises.resolve6('echo.test').catch(error => error.code));
})();
";

#[test]
fn node_gets_one_address_of_a_name_by_both_ways() {
    let place = Place::new();
    let done = place.with(&[], "node").env("RES_OPTIONS", "use-vc").args(["-e", ADDRESSES]).run();
    assert_eq!(done.success(), "true hello\ntrue echo.test\nENODATA\n");
    assert_eq!(place.proxy.served("echo.test", 7001), 1);
    assert_eq!(place.resolver.questions(), [""; 0]);
    place.no_leaks();
}

const PYCARES: &str = "
import select, sys
import pycares
channel = pycares.Channel(flags=pycares.ARES_FLAG_USEVC, servers=[sys.argv[1]], timeout=60, tries=1)
found = {}
def ask(name, kind):
    def done(result, error):
        if error is not None:
            found[name, kind] = pycares.errno.errorcode[error]
        else:
            found[name, kind] = sorted(str(getattr(one, 'host', None) or one.text) for one in
                                       (result if isinstance(result, list) else [result.name and type('N', (), {'host': result.name})]))
    channel.query(name, kind, done)
for name, kind in [('mail.test', pycares.QUERY_TYPE_MX), ('text.test', pycares.QUERY_TYPE_TXT),
                   ('_sip._tcp.test', pycares.QUERY_TYPE_SRV), ('missing.test', pycares.QUERY_TYPE_MX)]:
    ask(name, kind)
if len(sys.argv) > 2:
    ask('echo.test', pycares.QUERY_TYPE_A)
while True:
    readable, writable = channel.getsock()
    if not readable and not writable:
        break
    ready = select.select(readable, writable, [], channel.timeout() or 1)
    for fd in ready[0]:
        channel.process_fd(fd, pycares.ARES_SOCKET_BAD)
    for fd in ready[1]:
        channel.process_fd(pycares.ARES_SOCKET_BAD, fd)
    if not ready[0] and not ready[1]:
        channel.process_fd(pycares.ARES_SOCKET_BAD, pycares.ARES_SOCKET_BAD)
for asked, answer in sorted(found.items()):
    print(*asked, answer)
";

#[test]
fn pycares_resolves_in_one_connection() {
    let (native, place) = (Native::new(), Place::new());
    let natively = native.run("/usr/bin/python3", &["-c", PYCARES, "10.77.0.1"]).success();
    assert!(natively.contains("['mx1.test', 'mx2.test']"), "{natively}");
    let carried = place.run("/usr/bin/python3", &["-c", PYCARES, "10.77.0.1"]).success();
    assert_eq!(carried, natively);
    let with_address = place.run("/usr/bin/python3", &["-c", PYCARES, "127.0.0.53", "A"]).success();
    assert!(with_address.contains("echo.test 1 ['198.18.0.1']"), "{with_address}");
    place.no_leaks();
}

/// On port 53 a name with a fake address of IPv4 has none of IPv6, and exists; getaddrinfo has one.
#[test]
fn a_name_has_no_address_of_ipv6_on_port_53_and_one_by_libc() {
    let place = Place::new();
    let dig = place.run("dig", &["@10.77.0.1", "echo.test", "AAAA"]).success();
    assert!(dig.contains("status: NOERROR") && dig.contains("ANSWER: 0"), "{dig}");
    let node = "require('dns').promises.resolve6('echo.test').catch(error => console.log(error.code))";
    assert_eq!(place.run("node", &["-e", node]).success(), "ENODATA\n");
    let pycares = "
import pycares, select
channel = pycares.Channel(servers=['10.77.0.1'], timeout=60, tries=1)
channel.query('echo.test', pycares.QUERY_TYPE_AAAA, lambda found, error: print(found, pycares.errno.errorcode[error]))
while any(channel.getsock()):
    readable, writable = channel.getsock()
    ready = select.select(readable, writable, [], 60)
    for fd in ready[0] + ready[1]:
        channel.process_fd(fd if fd in ready[0] else -1, fd if fd in ready[1] else -1)
";
    assert_eq!(place.run("/usr/bin/python3", &["-c", pycares]).success(), "None ARES_ENODATA\n");
    let by_libc = "
import socket
found = socket.getaddrinfo('echo.test', 7001, socket.AF_INET6, socket.SOCK_STREAM)
s = socket.socket(socket.AF_INET6)
s.connect(found[0][4])
print(len(found), found[0][4][0].startswith('fd75:6e64:6572:7061:'), s.recv(9))
";
    assert_eq!(place.run("/usr/bin/python3", &["-c", by_libc]).success(), "1 True b'hello\\n'\n");
    let curl = |how: &str| place.run("curl", &[how, "-sS", "--http0.9", "http://echo.test:7001/"]);
    assert_eq!(curl("-4").success(), "hello\n");
    // It asks for both families and takes what is IPv6 of that: docs/limits.md.
    assert_eq!(curl("-6").code(), 7);
    assert_eq!(place.proxy.served("echo.test", 7001), 2);
    assert_eq!(place.resolver.questions(), [""; 0]);
    place.no_leaks();
}
