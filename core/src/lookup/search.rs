//! The search list: which names are asked for when one is looked up, as res_search(3) of glibc does it.

/// Why a look-up has failed (netdb.h `h_errno`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Herror {
    /// `HOST_NOT_FOUND`
    NotFound = 1,
    /// `TRY_AGAIN`
    TryAgain = 2,
    /// `NO_RECOVERY`
    NoRecovery = 3,
    /// `NO_DATA`
    NoData = 4,
}

/// What became of one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// An answer of this length.
    Found(usize),
    /// No answer, or one that says no.
    Not {
        /// The reason.
        why: Herror,
        /// The reason came from a server (`SERVFAIL`), so that another name may do better.
        from_server: bool,
    },
}

/// What an answer to the whole search is.
pub type Found = Result<usize, Herror>;

/// resolv.conf(5)'s options, as they are in the resolver's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A name with so many dots is first tried as it is.
    pub ndots: usize,
    /// `RES_DEFNAMES`: the first domain is added to a name without dots.
    pub default_domain: bool,
    /// `RES_DNSRCH`: all domains are tried.
    pub search: bool,
    /// `RES_NOTLDQUERY`: a name without dots is not tried as it is.
    pub no_top_level: bool,
}

/// Looks `name` up: as it is (`None`), and with each of the domains behind it.
pub fn search<'a>(
    name: &[u8],
    policy: Policy,
    domains: impl Iterator<Item = &'a [u8]>,
    mut ask: impl FnMut(Option<&'a [u8]>) -> Tried,
) -> Found {
    let dots = name.iter().filter(|b| **b == b'.').count();
    let absolute = name.last() == Some(&b'.');
    let (mut as_it_is, mut last) = (None, Herror::NotFound);
    let (mut no_data, mut failed, mut searched, mut root) = (false, false, false, false);
    if dots >= policy.ndots || absolute {
        match ask(None) {
            Tried::Found(length) => return Ok(length),
            Tried::Not { why, .. } if absolute => return Err(why),
            Tried::Not { why, .. } => as_it_is = Some(why),
        }
    }
    let listed = if dots == 0 { policy.default_domain } else { !absolute && policy.search };
    for domain in domains.take_while(|_| listed) {
        searched = true;
        let domain = domain.strip_prefix(b".").unwrap_or(domain);
        root |= domain.is_empty();
        match ask(Some(domain)) {
            Tried::Found(length) => return Ok(length),
            Tried::Not { why, from_server } => {
                last = why;
                no_data |= why == Herror::NoData;
                failed |= why == Herror::TryAgain && from_server;
                let go_on = match why {
                    Herror::NoData | Herror::NotFound => true,
                    Herror::TryAgain => from_server,
                    Herror::NoRecovery => false,
                };
                if !go_on || !policy.search {
                    break;
                }
            }
        }
    }
    if (dots > 0 || !searched || !policy.no_top_level) && as_it_is.is_none() && !root {
        match ask(None) {
            Tried::Found(length) => return Ok(length),
            Tried::Not { why, .. } => last = why,
        }
    }
    Err(match as_it_is {
        Some(why) => why,
        None if no_data => Herror::NoData,
        None if failed => Herror::TryAgain,
        None => last,
    })
}
