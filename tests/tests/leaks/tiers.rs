//! What a way is tried under.

use underpass_tests::{World, artifacts};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// Nothing: here it must leak, or the check shows nothing.
    Control,
    Hook,
    /// The default: hook, and guard for what cannot be hooked.
    Auto,
    Guard,
    /// Guard, in a network and files of its own.
    Sealed,
    Proxychains,
    Torsocks,
}

impl Tier {
    /// As in the table.
    pub(crate) const SHOWN: [Self; 6] =
        [Self::Hook, Self::Auto, Self::Guard, Self::Sealed, Self::Proxychains, Self::Torsocks];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Hook => "hook",
            Self::Auto => "auto",
            Self::Guard => "guard",
            Self::Sealed => "sealed",
            Self::Proxychains => "proxychains4",
            Self::Torsocks => "torsocks",
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Hook | Self::Auto | Self::Guard | Self::Sealed)
    }

    /// The words before a program.
    pub(crate) fn wrapper(self, world: &World, port: u16) -> Vec<String> {
        let underpass = artifacts::underpass().display().to_string();
        let words = match self {
            Self::Control => String::new(),
            Self::Hook | Self::Auto | Self::Guard | Self::Sealed => {
                format!("{underpass} --tier {} -x socks5h://10.77.0.1:{port} --", self.title())
            }
            Self::Torsocks => format!("torsocks -q -a 10.77.0.1 -P {port}"),
            Self::Proxychains => {
                let file = world.directory().join("proxychains.conf");
                let text = format!(
                    "strict_chain\nproxy_dns\ntcp_read_time_out 8000\ntcp_connect_time_out 8000\n\
                     [ProxyList]\nsocks5 10.77.0.1 {port}\n"
                );
                std::fs::write(&file, text).expect("the directory is ours");
                format!("proxychains4 -q -f {}", file.display())
            }
        };
        words.split_whitespace().map(str::to_owned).collect()
    }
}
