//! The stage's three steps: verify the credentials, authorize the subject, edit the head.
//!
//! **In:** what the route asks and an [`Ask`]. **Out:** a [`Subject`], a denial with a challenge, or what is awaited.
//! **Invariant:** a refusal has pushed a finding for each provider that was tried, the closest first; the client learns
//! the closest reason only. A subject passes [`TokenStage::authorize`] on what a verifier put into its claims: one that
//! puts nothing there holds no role, no scope and no claim rule.
//! **Source:** RFC 6750 §2, §3.1; RFC 9068 §2.2.3 (scopes), RFC 8693 §4.2 (`scope`).

use alloc::vec::Vec;

use super::extract::{self, Carried};
use super::{
    Ask, Awaited, Claimed, Failure, Jwt, Memory, Need, Outcome, Provider, ProviderKind, RouteToken,
    Session, SessionFormat, Source, Stop, Subject, TokenStage, VerifiedClaims, basic, certificate,
    copy, dpop, refusal, same_header, session,
};
use crate::env::{Env, Outside};
use crate::finding::{Finding, Findings};
use crate::request::RequestHead;
use crate::verdict::{Denial, Edits, Reason, Stage};

impl TokenStage {
    /// Verifies the credentials of the request. `any`: the one it carries over all sources of the accepted providers, by
    /// those that name its place, in the route's order; the first that verifies it wins, and the first that knows it as used
    /// or revoked ends the search. `all`: one for each provider. When a provider refuses, the reason is the one that came
    /// closest: replayed, then expired, then claims, then not bound, then judged and wrong, then the rest.
    ///
    /// # Errors
    /// `MultipleCredentials`, `TokenMissing` or a verifier's own reason, each with its challenge (RFC 6750 §3) among the
    /// denial's headers.
    pub fn verify<S: Outside>(
        &self,
        route: &RouteToken,
        ask: &Ask<'_>,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> Result<Outcome, Denial> {
        // Where nobody looks at a token the upstream may: which of two would it take?
        if extract::repeats_authorization(ask.head) {
            found.push(
                Source::Bearer.place(Finding::new(Stage::Token, Reason::MultipleCredentials)),
            );
            return Err(refusal(Stage::Token, Reason::MultipleCredentials));
        }
        if route.need == Need::None {
            return Ok(Outcome::Known(Subject::Anonymous));
        }
        if route.all {
            self.verify_all(route, ask, memory, env, found)
        } else {
            self.verify_any(route, ask, memory, env, found)
        }
    }

    /// The providers of a route, with their indexes.
    fn accepted<'s>(
        &'s self,
        route: &'s RouteToken,
    ) -> impl Iterator<Item = (usize, &'s Provider)> + Clone {
        let named = route.providers.iter();
        named.filter_map(|index| Some((*index, self.providers.get(*index)?)))
    }

    fn verify_any<S: Outside>(
        &self,
        route: &RouteToken,
        ask: &Ask<'_>,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> Result<Outcome, Denial> {
        let accepted = self.accepted(route);
        let sources = accepted.clone().flat_map(|(_, provider)| &provider.from);
        let certified = ask.connection.certificate.is_some();
        let (token, source) = match extract::credential(sources, ask.head, certified) {
            Carried::One { token, source } => (token, source),
            Carried::Several(source) => return Err(self.several(route, source, found)),
            Carried::Nothing if route.need == Need::Optional => {
                return Ok(Outcome::Known(Subject::Anonymous));
            }
            Carried::Nothing => {
                let first = accepted.clone().next();
                return Err(self.missing(route, first.map(|(_, provider)| provider), found));
            }
        };
        let mut failures: Vec<(Failure, &Provider)> = Vec::new();
        for (index, provider) in accepted {
            if !provider.from.contains(source) {
                continue;
            }
            match provider.verify(index, route, &token, ask, memory, env, found) {
                Ok(mut claims) => {
                    provider.note_carried(source, &mut claims);
                    return Ok(Outcome::Known(Subject::Verified(claims)));
                }
                Err(stop) => match stop.failure(ask) {
                    Ok(failure) => {
                        failures.push((failure, provider));
                        if failure.is_final() {
                            break;
                        }
                    }
                    Err(awaited) => return Ok(Outcome::Awaits(awaited)),
                },
            }
        }
        Err(self.refused(route, &failures, source, found))
    }

    // Inlined, it makes the frame of every request larger.
    #[inline(never)]
    fn verify_all<S: Outside>(
        &self,
        route: &RouteToken,
        ask: &Ask<'_>,
        memory: &mut Memory,
        env: &mut Env<'_, S>,
        found: &mut Findings,
    ) -> Result<Outcome, Denial> {
        let certified = ask.connection.certificate.is_some();
        let mut held = Vec::new();
        let mut absent = None;
        for (index, provider) in self.accepted(route) {
            match extract::credential(provider.from.iter(), ask.head, certified) {
                Carried::One { token, source } => held.push((index, provider, token, source)),
                Carried::Several(source) => return Err(self.several(route, source, found)),
                Carried::Nothing => absent = absent.or(Some(provider)),
            }
        }
        if held.is_empty() && route.need == Need::Optional {
            return Ok(Outcome::Known(Subject::Anonymous));
        }
        if absent.is_some() || held.is_empty() {
            return Err(self.missing(route, absent, found));
        }
        // What marks comes last, and where several do none before all would: a request that is refused, or waits and
        // comes again, leaves no mark.
        let marking = held.iter().filter(|(_, provider, ..)| provider.marks());
        let plain = held.iter().filter(|(_, provider, ..)| !provider.marks());
        let several = marking.clone().nth(1).is_some();
        let rehearsed = marking.clone().filter(|_| several);
        let plain = plain.map(|one| (one, false));
        let rehearsed = rehearsed.map(|one| (one, true));
        let marking = marking.map(|one| (one, false));
        let subject = held.first().map(|(index, ..)| *index);
        let mut whole = VerifiedClaims::default();
        for ((index, provider, token, source), rehearses) in plain.chain(rehearsed).chain(marking) {
            let ask = Ask { rehearses, ..*ask };
            match provider.verify(*index, route, token, &ask, memory, env, found) {
                Ok(_) if rehearses => {}
                Ok(mut claims) => {
                    provider.note_carried(source, &mut claims);
                    if Some(*index) == subject {
                        core::mem::swap(&mut whole, &mut claims);
                    }
                    whole.forward.append(&mut claims.forward);
                    whole.carried.append(&mut claims.carried);
                    whole.additions.append(&mut claims.additions);
                }
                Err(stop) => {
                    return match stop.failure(&ask) {
                        Ok(failure) => {
                            Err(self.refused(route, &[(failure, provider)], source, found))
                        }
                        Err(awaited) => Ok(Outcome::Awaits(awaited)),
                    };
                }
            }
        }
        Ok(Outcome::Known(Subject::Verified(whole)))
    }

    /// Checks what the route asks of the subject: one of its roles, all of its scopes, all of its claim rules. Nobody has
    /// none of them.
    ///
    /// # Errors
    /// `MissingRole`, `MissingScope`, `MissingClaim`.
    pub fn authorize(
        &self,
        route: &RouteToken,
        subject: &Subject,
        found: &mut Findings,
    ) -> Result<(), Denial> {
        if route.roles.is_empty() && route.scopes.is_empty() && route.claims.is_empty() {
            return Ok(());
        }
        let nobody = VerifiedClaims::default();
        let (claims, provider) = match subject {
            Subject::Verified(claims) => (claims, self.providers.get(claims.provider)),
            Subject::Anonymous => (&nobody, None),
        };
        let has_role = |role: &[u8]| route.roles.iter().any(|asked| asked == role);
        let missing = |reason, what: Option<&[u8]>, found: &mut Findings| {
            let mut finding = Finding::new(Stage::Authorize, reason);
            if let Some(provider) = provider {
                finding = finding.rule(&provider.name);
                if let Some(source) = provider.from.first() {
                    finding = source.place(finding);
                }
            }
            if let Some(what) = what {
                finding.rule.push(b'/');
                finding.rule.extend_from_slice(what);
            }
            found.push(finding);
            self.refusal(route, Stage::Authorize, reason)
        };
        if !route.roles.is_empty() && !claims.roles().any(has_role) {
            return Err(missing(Reason::MissingRole, None, found));
        }
        let has_scope = |asked: &Vec<u8>| claims.scopes().any(|scope| scope == asked);
        if let Some(scope) = route.scopes.iter().find(|asked| !has_scope(asked)) {
            let mut denial = missing(Reason::MissingScope, Some(scope), found);
            if let [(_, challenge)] = denial.headers.as_mut_slice() {
                // RFC 6750 §3: what it takes to get in. Scope names need no escape in a quoted string.
                let mut joint: &[u8] = b", scope=\"";
                for scope in &route.scopes {
                    challenge.extend_from_slice(core::mem::replace(&mut joint, b" "));
                    challenge.extend_from_slice(scope);
                }
                challenge.push(b'"');
            }
            return Err(denial);
        }
        if let Some(rule) = route.claims.get(claims.held) {
            return Err(missing(Reason::MissingClaim, Some(&rule.name), found));
        }
        Ok(())
    }

    /// Adds to `edits`: removal of every client copy of any provider's forwarded headers that is present in
    /// `head`, whatever the route asks; then the credentials that are not to go on; then the forwarded claims of
    /// `subject`. The claims are moved out: [`VerifiedClaims::forward`] is empty afterwards.
    pub fn edit(&self, head: &RequestHead<'_>, subject: &mut Subject, edits: &mut Edits) {
        for header in self.forwarded() {
            for field in &head.fields {
                if same_header(field.name, header)
                    && !edits.remove.iter().any(|removed| removed == field.name)
                {
                    edits.remove.push(copy(field.name));
                }
            }
        }
        if let Subject::Verified(claims) = subject {
            edits.add = core::mem::take(&mut claims.additions);
            if !claims.carried.is_empty() {
                let sources = claims.carried.iter().filter_map(|(provider, place)| {
                    self.providers.get(*provider)?.from.get(*place)
                });
                extract::strip(sources, head, edits);
            }
            let mut forward = core::mem::take(&mut claims.forward);
            if edits.set.is_empty() {
                edits.set = forward;
            } else {
                edits.set.append(&mut forward);
            }
        }
    }

    /// Whether a field of a client is one of the headers that claims are forwarded in, or can be taken for one: a copy
    /// spelled with `_` for `-` is a copy, CGI-like upstreams cannot tell them apart.
    #[must_use]
    pub fn is_forwarded(&self, name: &[u8]) -> bool {
        self.forwarded().any(|header| same_header(name, header))
    }

    /// Whether any claim is forwarded.
    #[must_use]
    pub fn forwards(&self) -> bool {
        self.forwarded().next().is_some()
    }

    fn forwarded(&self) -> impl Iterator<Item = &[u8]> {
        let headers = self.providers.iter().flat_map(|provider| &provider.forward);
        headers.map(|forward| forward.header.as_slice())
    }
}

impl Stop {
    /// A failure, or what is awaited.
    fn failure(self, ask: &Ask<'_>) -> Result<Failure, Awaited> {
        match self {
            Self::Failed(failure) => Ok(failure),
            Self::Awaits(awaited) if ask.lacks(&awaited) => Err(awaited),
            // It has what it asks for: who waited must judge.
            Self::Awaits(_) => Ok(Failure::new(Reason::TokenInvalid, "waited")),
        }
    }
}

impl Provider {
    fn note_carried(&self, source: &Source, claims: &mut VerifiedClaims) {
        if !self.strip {
            return;
        }
        if let Some(place) = self.from.iter().position(|other| other == source) {
            claims.carried.push((claims.provider, place));
        }
    }
}

impl TokenStage {
    /// The account that the credential of a request claims, whether it is right or not: a user's name, or the subject of
    /// a session in `colon` format. Nothing where a credential names nobody before it is verified.
    #[must_use]
    pub fn claimed_account(&self, route: &RouteToken, ask: &Ask<'_>) -> Claimed {
        let certified = ask.connection.certificate.is_some();
        let accepted = self.accepted(route).map(|(_, provider)| provider);
        let mut carries = false;
        for provider in accepted.clone() {
            let sources = provider.from.iter();
            let carried = if route.all {
                extract::credential(sources, ask.head, certified)
            } else {
                let all = accepted.clone().flat_map(|provider| &provider.from);
                extract::credential(all, ask.head, certified)
            };
            let Carried::One { token, source } = carried else {
                continue;
            };
            carries = true;
            if !provider.from.contains(source) {
                continue;
            }
            let account = match &provider.kind {
                ProviderKind::Basic(_) => basic::claimed(&token),
                ProviderKind::Session(Session {
                    format: SessionFormat::Colon,
                    ..
                }) => session::claimed(&token),
                ProviderKind::ApiKey(_)
                | ProviderKind::Certificate(_)
                | ProviderKind::Introspection(_)
                | ProviderKind::Jwt(_)
                | ProviderKind::Session(_)
                | ProviderKind::SignedBody(_)
                | ProviderKind::SignedMessage(_) => None,
            };
            if let Some(account) = account {
                return Claimed::Account(account);
            }
        }
        if carries {
            Claimed::Nobody
        } else {
            Claimed::Nothing
        }
    }

    /// What rules of the policy look at in certificates.
    #[must_use]
    pub fn certificate_parts(&self) -> certificate::CertificateParts {
        self.providers.iter().fold(
            certificate::CertificateParts::default(),
            |parts, provider| match &provider.kind {
                ProviderKind::Certificate(rules) => parts.or(rules.parts()),
                ProviderKind::Session(rules) => parts.or(certificate::CertificateParts {
                    sha256: rules.bind.certificate,
                    ..certificate::CertificateParts::default()
                }),
                ProviderKind::ApiKey(_)
                | ProviderKind::Basic(_)
                | ProviderKind::Introspection(_)
                | ProviderKind::Jwt(_)
                | ProviderKind::SignedBody(_)
                | ProviderKind::SignedMessage(_) => parts,
            },
        )
    }

    /// A denial with a challenge for each scheme the route accepts (RFC 9110 §11.6.1).
    fn refusal(&self, route: &RouteToken, stage: Stage, reason: Reason) -> Denial {
        let mut others = Vec::new();
        let mut bearer = false;
        let mut keys = false;
        for (_, provider) in self.accepted(route) {
            match &provider.kind {
                ProviderKind::Basic(rules) => others.push(rules.challenge()),
                ProviderKind::Certificate(_) => {}
                ProviderKind::Jwt(Jwt {
                    dpop: Some(rules), ..
                }) => {
                    bearer |= !rules.required || reason == Reason::DpopInvalid;
                    if reason != Reason::DpopInvalid {
                        others.push(dpop::CHALLENGE);
                    }
                }
                ProviderKind::ApiKey(_) if !provider.from.contains(&Source::Bearer) => keys = true,
                _ => bearer = true,
            }
        }
        let mut denial = if bearer || (others.is_empty() && !keys) {
            refusal(stage, reason)
        } else {
            Denial::new(stage, reason)
        };
        if keys {
            others.push(b"ApiKey realm=\"palisade\"");
        }
        if reason.row().status == 401 {
            for challenge in others {
                denial.headers.push(("www-authenticate", copy(challenge)));
            }
        }
        denial
    }

    fn several(&self, route: &RouteToken, source: &Source, found: &mut Findings) -> Denial {
        let reason = Reason::MultipleCredentials;
        found.push(source.place(Finding::new(Stage::Token, reason)));
        self.refusal(route, Stage::Token, reason)
    }

    fn missing(
        &self,
        route: &RouteToken,
        provider: Option<&Provider>,
        found: &mut Findings,
    ) -> Denial {
        let mut finding = Finding::new(Stage::Token, Reason::TokenMissing);
        if let Some(provider) = provider {
            finding = finding.rule(&provider.name);
            if let Some(source) = provider.from.first() {
                finding = source.place(finding);
            }
        }
        found.push(finding);
        self.refusal(route, Stage::Token, Reason::TokenMissing)
    }

    /// A finding for each provider that was tried, the closest first; its reason is the client's.
    fn refused(
        &self,
        route: &RouteToken,
        failures: &[(Failure, &Provider)],
        source: &Source,
        found: &mut Findings,
    ) -> Denial {
        let mut closest: Option<(usize, Failure)> = None;
        for (place, (failure, _)) in failures.iter().enumerate() {
            if closest.is_none_or(|(_, best)| failure.closeness() > best.closeness()) {
                closest = Some((place, *failure));
            }
        }
        let Some((first, Failure { reason, .. })) = closest else {
            let reason = Reason::TokenInvalid;
            found.push(source.place(Finding::new(Stage::Token, reason)));
            return self.refusal(route, Stage::Token, reason);
        };
        let mut tell = |failure: &Failure, provider: &Provider| {
            let mut finding = Finding::new(Stage::Token, failure.reason).rule(&provider.name);
            finding.rule.push(b'/');
            finding.rule.extend_from_slice(failure.what.as_bytes());
            if let Some(rule) = failure.rule.and_then(|rule| provider.claims.get(rule)) {
                finding.rule.push(b':');
                finding.rule.extend_from_slice(&rule.name);
            }
            found.push(source.place(finding));
        };
        if let Some((failure, provider)) = failures.get(first) {
            tell(failure, provider);
        }
        for (place, (failure, provider)) in failures.iter().enumerate() {
            if place != first {
                tell(failure, provider);
            }
        }
        self.refusal(route, Stage::Token, reason)
    }
}
