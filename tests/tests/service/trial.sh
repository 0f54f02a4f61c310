# What is done with the units, by somebody with the rights of root in a machine with systemd.
set -eu
fail() {
  echo "$*: $(systemctl status --no-pager "$unit" 2>&1)"
  exit 1
}
# The first line of a page, through the door.
asked() { curl -sS -m 10 --proxy socks5h://127.0.0.1:1080 http://hello.internal/ 2>&1 | head -n 1; }
served() { [ "$(asked)" = "Hello from underpass." ] || fail "$1: $(asked)"; }
main() { systemctl show -p MainPID --value "$unit"; }
# Until another process than $2 is the service; $1 is what has happened.
another() {
  local i
  for i in $(seq 100); do
    case $(main) in "$2" | 0) sleep 0.1 ;; *) return ;; esac
  done
  fail "$1: it is still $2"
}
ended() {
  systemctl stop "$unit.socket" "$unit"
  [ "$(systemctl show -p Result --value "$unit")" = success ] || fail "the end"
}

cp /trial/underpass /trial/underpass-agent /trial/libunderpass.so /usr/bin/
mkdir -p /etc/underpass
cd /etc/underpass

unit=underpass-agent
echo 'proxy = "local:"' >config.toml
systemctl start underpass-agent.socket
served "started by a connection"
first=$(main)
grep -q '^CapEff:.0*$' "/proc/$first/status" || fail "it has capabilities"
grep -q '^Uid:.0' "/proc/$first/status" && fail "it is root"
echo 'default = "refuse"' >config.toml
systemctl reload underpass-agent
for i in $(seq 50); do case $(asked) in Hello*) sleep 0.1 ;; *) break ;; esac; done
case $(asked) in Hello*) fail "it was not read again" ;; esac
echo 'proxy = "local:"' >config.toml
systemctl reload underpass-agent
for i in $(seq 50); do case $(asked) in Hello*) break ;; *) sleep 0.1 ;; esac; done
served "read again"
[ "$(main)" = "$first" ] || fail "it was started anew"
systemctl kill --kill-whom=main -s USR2 underpass-agent
another "an upgrade" "$first"
served "after the upgrade"
mkdir -p /etc/systemd/system/underpass-agent.service.d
printf '[Service]\nWatchdogSec=2\n' >/etc/systemd/system/underpass-agent.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart underpass-agent
hangs=$(main)
sleep 3
[ "$(main)" = "$hangs" ] || fail "the watchdog ended what did not hang"
kill -STOP "$hangs"
another "the watchdog" "$hangs"
served "after it had hung"
killed=$(main)
kill -KILL "$killed"
another "killed" "$killed"
served "after it was killed"
ended

unit=underpass-relay
underpass-agent keygen --relay --name localhost --out relay.key | grep '^relay:' >url
underpass-agent keygen --name client --out client.key | tail -n 1 >authorized-keys
printf '%s\n' 'listen = "systemd"' 'key = "credential:relay.key"' 'certificate = "credential:relay.key.crt"' \
  'authorized-keys = "/etc/underpass/authorized-keys"' '[[rule]]' 'verdict = "permit"' >relay.toml
systemctl start underpass-relay.socket underpass-relay
checked() { underpass -x "$(cat url)&key=/etc/underpass/client.key" --check || fail "$1"; }
checked "a relay"
first=$(main)
systemctl reload underpass-relay
checked "a relay that has read its files again"
systemctl kill --kill-whom=main -s USR2 underpass-relay
another "a relay's upgrade" "$first"
checked "a relay after its upgrade"
ended

unit=manager
useradd --create-home trial
runtime=/run/user/$(id -u trial)
mkdir -p "$runtime" ~trial/.config/systemd
cp -r /trial/units/user ~trial/.config/systemd/
chown -R trial: "$runtime" ~trial
chmod 700 "$runtime"
printf '%s\n' '[Service]' 'Type=notify' 'User=trial' 'Delegate=yes' "Environment=XDG_RUNTIME_DIR=$runtime" \
  'ExecStart=/lib/systemd/systemd --user --log-target=null' >/etc/systemd/system/manager.service
systemctl daemon-reload
systemctl start manager
as() { setpriv --reuid=trial --regid=trial --init-groups env HOME=/home/trial XDG_RUNTIME_DIR="$runtime" "$@"; }
as systemctl --user start underpass-agent.socket underpass-agent
served "a user's door"
page=$(as underpass -x local: curl -sS http://hello.internal/)
case $page in Hello*) ;; *) fail "a user's program: $page" ;; esac
pid=$(as systemctl --user show -p MainPID --value underpass-agent)
[ "$(as systemctl --user is-active underpass-agent)" = active ] || fail "a user's agent"
as systemctl --user stop underpass-agent.socket underpass-agent
[ ! -e "/proc/$pid" ] || fail "a user's agent goes on"
systemctl stop manager
echo done
