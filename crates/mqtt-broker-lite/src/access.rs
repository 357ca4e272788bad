//! Who may come in, and what may they do there: answers to the broker's questions, from files on
//! the broker's thread and from hooks and password checks on other threads.

mod acl;
mod hooks;
#[cfg(feature = "files")]
mod passwords;
mod tasks;

use std::sync::Arc;

use mqtt_codec::{ConnectReason, DisconnectReason, PubAckReason, SubAckReason};
use mqtt_session::{
    AuthenticateAnswer, AuthenticateRequest, BrokerEvent, ConnectAnswer, ConnectGrant,
    ConnectRequest, PublishAnswer, PublishRequest, ReadRequest, SubscribeRequest,
};

pub use hooks::{Authenticator, Authorizer, ConnectVerdict, Permission};
#[cfg(feature = "files")]
pub use passwords::set_password;

pub(crate) use hooks::{DynAuthenticator, DynAuthorizer};

pub(crate) use tasks::Tasks;

use crate::config::Config;
use crate::error::BindError;
use crate::files::FileError;
use acl::{Acl, Who};
#[cfg(feature = "files")]
use passwords::Passwords;
use tasks::{Checks, Panicked, guarded};

/// A decision, on its way to the broker.
#[derive(Debug)]
pub(crate) enum Answer {
    Connect(Box<ConnectRequest>, ConnectAnswer),
    Authenticate(AuthenticateRequest, AuthenticateAnswer),
    Publish(PublishRequest, PublishAnswer),
    /// What is denied was noted in the request.
    Subscribe(SubscribeRequest),
    Read(ReadRequest, bool),
}

/// Everybody who is asked, in order. A reload replaces it as a whole.
pub(crate) struct Chain {
    #[cfg(feature = "files")]
    passwords: Option<Arc<Passwords>>,
    acl: Option<Acl>,
    authenticators: Vec<Arc<dyn DynAuthenticator>>,
    authorizers: Vec<Arc<dyn DynAuthorizer>>,
    allow_anonymous: bool,
}

impl Chain {
    /// Reads the files that `config` names.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or with everything that is wrong with it.
    pub(crate) fn load(config: &Config) -> Result<Self, BindError> {
        Ok(Self {
            #[cfg(feature = "files")]
            passwords: match &config.password_file {
                Some(path) => Some(Arc::new(FileError::parsed(path, Passwords::parse)?)),
                None => None,
            },
            acl: match &config.acl_file {
                Some(path) => Some(FileError::parsed(path, Acl::parse)?),
                None => None,
            },
            authenticators: config.authenticators.clone(),
            authorizers: config.authorizers.clone(),
            allow_anonymous: config.allow_anonymous,
        })
    }

    /// Whether some questions are answered on other threads.
    fn checks_elsewhere(&self) -> bool {
        #[cfg(feature = "files")]
        if self.passwords.is_some() {
            return true;
        }
        !(self.authenticators.is_empty() && self.authorizers.is_empty())
    }

    /// What is said of a client about which nobody had anything to say.
    fn stranger(&self, request: &ConnectRequest) -> ConnectAnswer {
        let reason = if request.authentication_method().is_some() {
            // [MQTT-4.12.0-1]
            ConnectReason::BadAuthenticationMethod
        } else if request.user_name().is_some() {
            ConnectReason::BadUserNameOrPassword
        } else if self.allow_anonymous {
            return ConnectAnswer::Accept(ConnectGrant::default());
        } else {
            ConnectReason::NotAuthorized
        };
        ConnectAnswer::Refuse(reason.into())
    }

    async fn connect(&self, request: &ConnectRequest, checks: &Checks) -> ConnectAnswer {
        #[cfg(feature = "files")]
        if let Some(passwords) = &self.passwords
            && request.authentication_method().is_none()
            && let (Some(user), Some(password)) = (request.user_name(), request.password())
        {
            match checks.verify(passwords, user, password).await {
                Ok(Some(true)) => return ConnectAnswer::Accept(ConnectGrant::to(user)),
                Ok(Some(false)) => {
                    return ConnectAnswer::Refuse(ConnectReason::BadUserNameOrPassword.into());
                }
                Ok(None) => {}
                Err(reason) => return ConnectAnswer::Refuse(reason.into()),
            }
        }
        #[cfg(not(feature = "files"))]
        let _ = checks;
        for authenticator in &self.authenticators {
            match authenticator.connect(request).await {
                ConnectVerdict::Accept(grant) => return ConnectAnswer::Accept(grant),
                ConnectVerdict::Refuse(refusal) => return ConnectAnswer::Refuse(refusal),
                ConnectVerdict::Challenge(data) => return ConnectAnswer::Challenge(data),
                ConnectVerdict::Abstain => {}
            }
        }
        self.stranger(request)
    }

    async fn authenticate(&self, request: &AuthenticateRequest) -> AuthenticateAnswer {
        for authenticator in &self.authenticators {
            if let Some(answer) = authenticator.authenticate(request).await {
                return answer;
            }
        }
        AuthenticateAnswer::Refuse(DisconnectReason::BadAuthenticationMethod)
    }

    fn acl(&self, judge: impl FnOnce(&Acl) -> Permission) -> Permission {
        self.acl.as_ref().map_or(Permission::Abstain, judge)
    }

    async fn publish(&self, request: &PublishRequest) -> Permission {
        for authorizer in &self.authorizers {
            let said = authorizer.publish(request).await;
            if said != Permission::Abstain {
                return said;
            }
        }
        Permission::Deny
    }

    /// Which filters of `request` are denied, of those that nobody has judged yet.
    async fn subscribe(&self, request: &SubscribeRequest, open: &[usize]) -> Vec<usize> {
        let mut denied = Vec::new();
        for (number, (filter, _)) in request.filters().enumerate() {
            if open.contains(&number) && !self.may_subscribe(request, filter).await {
                denied.push(number);
            }
        }
        denied
    }

    async fn may_subscribe(&self, request: &SubscribeRequest, filter: &str) -> bool {
        for authorizer in &self.authorizers {
            let said = authorizer.subscribe(request, filter).await;
            if said != Permission::Abstain {
                return said == Permission::Allow;
            }
        }
        false
    }

    async fn read(&self, request: &ReadRequest) -> Permission {
        for authorizer in &self.authorizers {
            let said = authorizer.read(request).await;
            if said != Permission::Abstain {
                return said;
            }
        }
        Permission::Deny
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain")
            .field("authenticators", &self.authenticators.len())
            .field("authorizers", &self.authorizers.len())
            .field("allow_anonymous", &self.allow_anonymous)
            .finish_non_exhaustive()
    }
}

/// The way to decisions.
#[derive(Debug)]
pub(crate) struct Access {
    chain: Arc<Chain>,
    tasks: Option<Tasks>,
}

impl Access {
    /// Asks those of `chain`; what is answered elsewhere comes back through an inbox.
    pub(crate) fn new(chain: Chain, tasks: Option<Tasks>) -> Self {
        Self { chain: Arc::new(chain), tasks }
    }

    /// Asks those of `chain` from here on. Decisions that are under way are still taken by those
    /// who were asked.
    #[cfg(feature = "files")]
    pub(crate) fn replace(&mut self, chain: Chain, tasks: Option<Tasks>) {
        self.chain = Arc::new(chain);
        if self.tasks.is_none() {
            self.tasks = tasks;
        }
    }

    /// Decides about a question of the broker. `None` if it is no question, or if the answer
    /// comes through the inbox.
    pub(crate) fn decide(&self, event: BrokerEvent) -> Option<Answer> {
        match event {
            BrokerEvent::Connect(request) => self.connect(request),
            BrokerEvent::Authenticate(request) => self.authenticate(request),
            BrokerEvent::Publish(request) => self.publish(request),
            BrokerEvent::Subscribe(request) => self.subscribe(request),
            BrokerEvent::Read(request) => self.read(request),
            BrokerEvent::Connected { .. }
            | BrokerEvent::Resume(_)
            | BrokerEvent::Closed { .. }
            | _ => None,
        }
    }

    fn connect(&self, request: ConnectRequest) -> Option<Answer> {
        if request.authentication_method().is_none()
            && let Some(identity) = &request.peer().identity
        {
            let grant = ConnectGrant::to(identity.clone());
            return Some(Answer::Connect(Box::new(request), ConnectAnswer::Accept(grant)));
        }
        let Some(tasks) = &self.tasks else {
            let answer = self.chain.stranger(&request);
            return Some(Answer::Connect(Box::new(request), answer));
        };
        let (chain, checks) = (Arc::clone(&self.chain), tasks.checks());
        tasks.spawn(async move {
            let answer = guarded(chain.connect(&request, &checks)).await;
            let failed =
                |_| ConnectAnswer::Refuse(ConnectReason::ImplementationSpecificError.into());
            Answer::Connect(Box::new(request), answer.unwrap_or_else(failed))
        });
        None
    }

    fn authenticate(&self, request: AuthenticateRequest) -> Option<Answer> {
        let Some(tasks) = &self.tasks else {
            let answer = AuthenticateAnswer::Refuse(DisconnectReason::BadAuthenticationMethod);
            return Some(Answer::Authenticate(request, answer));
        };
        let chain = Arc::clone(&self.chain);
        tasks.spawn(async move {
            let answer = guarded(chain.authenticate(&request)).await;
            let failed =
                |_| AuthenticateAnswer::Refuse(DisconnectReason::ImplementationSpecificError);
            Answer::Authenticate(request, answer.unwrap_or_else(failed))
        });
        None
    }

    /// Where the hooks are asked, if anybody is to be asked after the list.
    fn hooks(&self) -> Option<&Tasks> {
        self.tasks.as_ref().filter(|_| !self.chain.authorizers.is_empty())
    }

    fn publish(&self, request: PublishRequest) -> Option<Answer> {
        let who = Who { client_id: request.client_id(), user: request.identity() };
        let said = self.chain.acl(|acl| acl.publish(who, request.topic()));
        let answer = |reason: PubAckReason| PublishAnswer::from(reason);
        match (said, self.hooks()) {
            (Permission::Abstain, Some(tasks)) => {
                let chain = Arc::clone(&self.chain);
                tasks.spawn(async move {
                    let reason = match guarded(chain.publish(&request)).await {
                        Ok(Permission::Allow) => PubAckReason::Success,
                        Ok(Permission::Deny | Permission::Abstain) => PubAckReason::NotAuthorized,
                        Err(Panicked) => PubAckReason::ImplementationSpecificError,
                    };
                    Answer::Publish(request, answer(reason))
                });
                None
            }
            (Permission::Allow, _) => Some(Answer::Publish(request, answer(PubAckReason::Success))),
            (Permission::Deny | Permission::Abstain, _) => {
                Some(Answer::Publish(request, answer(PubAckReason::NotAuthorized)))
            }
        }
    }

    fn subscribe(&self, mut request: SubscribeRequest) -> Option<Answer> {
        let who = Who { client_id: request.client_id(), user: request.identity() };
        let said: Vec<Permission> = request
            .filters()
            .map(|(filter, _)| self.chain.acl(|acl| acl.subscribe(who, filter)))
            .collect();
        let numbers = |wanted: Permission| {
            let with_numbers = said.iter().enumerate();
            with_numbers.filter(move |(_, said)| **said == wanted).map(|(number, _)| number)
        };
        for denied in numbers(Permission::Deny) {
            request.deny(denied, SubAckReason::NotAuthorized);
        }
        let open: Vec<usize> = numbers(Permission::Abstain).collect();
        let tasks = self.hooks().filter(|_| !open.is_empty());
        let Some(tasks) = tasks else {
            for number in open {
                request.deny(number, SubAckReason::NotAuthorized);
            }
            return Some(Answer::Subscribe(request));
        };
        let chain = Arc::clone(&self.chain);
        tasks.spawn(async move {
            let (denied, reason) = match guarded(chain.subscribe(&request, &open)).await {
                Ok(denied) => (denied, SubAckReason::NotAuthorized),
                Err(Panicked) => (open, SubAckReason::ImplementationSpecificError),
            };
            for number in denied {
                request.deny(number, reason);
            }
            Answer::Subscribe(request)
        });
        None
    }

    fn read(&self, request: ReadRequest) -> Option<Answer> {
        let who = Who { client_id: request.client_id(), user: request.identity() };
        let said = self.chain.acl(|acl| acl.read(who, request.topic()));
        match (said, self.hooks()) {
            (Permission::Abstain, Some(tasks)) => {
                let chain = Arc::clone(&self.chain);
                tasks.spawn(async move {
                    let said = guarded(chain.read(&request)).await;
                    Answer::Read(request, matches!(said, Ok(Permission::Allow)))
                });
                None
            }
            (said, _) => Some(Answer::Read(request, said == Permission::Allow)),
        }
    }
}
