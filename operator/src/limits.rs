//! Every bound of the operator, with its unit and its reason.

use std::time::Duration;

/// A TCP connection to an edge's control port must stand after this.
pub const LINK_CONNECT: Duration = Duration::from_secs(5);
/// Pause between two pings on a quiet link; each is shortened by up to a fifth, so that pings do not march in step.
pub const LINK_PING: Duration = Duration::from_secs(4);
/// A push or ping unanswered for this long: the edge does not count as configured until it answers.
pub const LINK_ANSWER: Duration = Duration::from_secs(5);
/// An edge that is silent for this long in addition gets a new connection: the old one may be dead without a reset.
pub const LINK_SILENCE: Duration = Duration::from_secs(25);
/// Closing a link in order may take this long; it is one small frame.
pub const LINK_FAREWELL: Duration = Duration::from_secs(1);
/// Bytes of the buffer for what an edge says, at first: answers are short, and there may be thousands of edges.
pub const LINK_READ_BYTES: usize = 512;
/// First pause before a link is opened again.
pub const LINK_RETRY_MIN: Duration = Duration::from_millis(100);
/// Longest pause before a link is opened again: a new edge whose Pod has an address long before it listens becomes ready
/// by this much later, and an attempt that is refused costs little.
pub const LINK_RETRY_MAX: Duration = Duration::from_secs(2);
/// Answers of edges that wait to be looked at. Beyond it the link tasks wait, which delays only their next ping.
pub const EDGE_EVENTS: usize = 1_024;

/// Largest configuration for edges as JSON, bytes: a ConfigMap holds at most 1 MiB, and what is around it needs room.
pub const CONFIG_BYTES: usize = 900 << 10;
/// Specifications of which it is remembered that they obey every rule of the definition; 8 bytes each.
pub const OBEYING_SPECIFICATIONS: usize = 16_384;
/// Annotations that a user gives to one object, bytes: half of what Kubernetes takes, so that those of the platform's
/// controllers fit too.
pub const ANNOTATION_BYTES: usize = 128 << 10;

/// Edge processes of one `local` run: each has threads and a cache of its own, on one machine.
pub const LOCAL_EDGES: usize = 64;
/// An edge process must say its addresses this long after its start.
pub const EDGE_START: Duration = Duration::from_secs(20);
/// Longest first line of an edge process, bytes.
pub const EDGE_HELLO_BYTES: u64 = 4_096;
/// An edge that was asked to end gets this long to finish its requests.
pub const EDGE_STOP: Duration = Duration::from_secs(10);
/// First pause before a dead edge is started again.
pub const EDGE_RESTART_MIN: Duration = Duration::from_millis(250);
/// Longest pause before a dead edge is started again.
pub const EDGE_RESTART_MAX: Duration = Duration::from_secs(10);
/// An edge that lived this long died of something new: its pauses start from the first again.
pub const EDGE_PROVEN: Duration = Duration::from_secs(30);
/// Pause between two readiness probes of an edge that is not ready yet.
pub const PROBE_UNREADY: Duration = Duration::from_millis(50);
/// Pause between two readiness probes of a ready edge.
pub const PROBE_READY: Duration = Duration::from_secs(1);
/// A readiness probe must be answered after this.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of a refusal that the command `probe` repeats: the reason is a line or a few.
pub const PROBE_BODY_BYTES: usize = 4_096;

/// Edges in a zone of a cluster when nobody says otherwise: one may be restarted or drained while the other serves.
pub const EDGES_PER_ZONE: u32 = 2;
/// Processor that an edge asks for when its Distribution does not say: enough to be scheduled fairly.
pub const EDGE_CPU_REQUEST: &str = "100m";
/// Bytes of an edge's state folder: two copies of the largest configuration, with room to spare.
pub const EDGE_STATE_BYTES: u64 = 16 << 20;
/// Old ReplicaSets that are kept of a Deployment, to look at.
pub const EDGE_HISTORY: i32 = 2;
/// An edge goes on for this long after it was asked to end, seconds: Services need it to send viewers elsewhere.
pub const EDGE_PRE_STOP_SECONDS: i64 = 5;
/// An edge finishes requests for this long, seconds; its own setting.
pub const EDGE_DRAIN_SECONDS: i64 = 30;
/// An edge's Pod is killed after this, seconds: pause and drain, and a margin for a busy node.
pub const EDGE_TERMINATION_SECONDS: i64 = EDGE_PRE_STOP_SECONDS + EDGE_DRAIN_SECONDS + 10;
/// Seconds between two looks at whether an edge lives.
pub const EDGE_LIVENESS_PERIOD_SECONDS: i32 = 10;
/// Seconds that such a look may take: a busy edge is slow, not dead.
pub const EDGE_LIVENESS_TIMEOUT_SECONDS: i32 = 5;
/// Looks in a row that must fail before an edge is restarted: more than a minute, since a restart loses its cache.
pub const EDGE_LIVENESS_FAILURES: i32 = 7;
/// Seconds between two looks at whether an edge can serve: it says so itself the moment it has its configuration.
pub const EDGE_READINESS_PERIOD_SECONDS: i32 = 2;
/// Seconds that such a look may take.
pub const EDGE_READINESS_TIMEOUT_SECONDS: i32 = 2;
/// Looks in a row that must fail before viewers are sent elsewhere.
pub const EDGE_READINESS_FAILURES: i32 = 3;

/// Changes of the manifest within this time are read as one: editors write in several steps.
pub const WATCH_SETTLE: Duration = Duration::from_millis(50);
/// The manifest is also looked at this often, for file systems that notify nobody.
pub const WATCH_POLL: Duration = Duration::from_secs(5);
/// Largest manifest file, bytes: an API server takes objects of at most 1.5 MiB, and a file may hold several.
pub const MANIFEST_BYTES: u64 = 16 << 20;
/// Longest message of a condition, bytes: people read it in a terminal, and every change of it is a write.
pub const CONDITION_MESSAGE_BYTES: usize = 1_900;
/// Problems that the message of the condition Accepted lists, bytes: all of them, so that one round is enough to mend a
/// manifest. Kubernetes takes 32768 characters, and a few words come after the last.
pub const PROBLEMS_BYTES: usize = 31 << 10;
/// Longest of the texts that such a message is made of, bytes, so that one does not hide the others.
pub const CONDITION_TEXT_BYTES: usize = 450;
/// Texts that such a message has; the rest are counted.
pub const CONDITION_TEXTS: usize = 4;
/// Changes of status within this time are shown as one.
pub const STATUS_SETTLE: Duration = Duration::from_millis(150);

/// Connections that the built-in file server holds at once.
pub const SERVE_CONNECTIONS: usize = 1_024;
/// Bytes of a served file that are read at once.
pub const SERVE_CHUNK_BYTES: usize = 64 << 10;
/// A request head to the built-in file server must be complete after this.
pub const SERVE_HEAD: Duration = Duration::from_secs(10);

/// A connection to the API server must stand after this.
pub const API_CONNECT: Duration = Duration::from_secs(5);
/// A call of the API server must be answered after this. Watches are not calls.
pub const API_CALL: Duration = Duration::from_secs(15);
/// First pause before the API server is examined again at the start.
pub const STARTUP_RETRY_MIN: Duration = Duration::from_millis(500);
/// Longest such pause: a CRD that was just installed shall not wait long.
pub const STARTUP_RETRY_MAX: Duration = Duration::from_secs(10);
/// The API server ends a watch after this, and it is begun anew. Below the 240 s after which some load balancers cut
/// quiet connections.
pub const WATCH_TIMEOUT_SECONDS: u32 = 200;
/// A watch that asked the API server for nothing for this long hangs: it begins anew after each [`WATCH_TIMEOUT_SECONDS`], and
/// the pauses after failures are far shorter.
pub const WATCH_STUCK: Duration = Duration::from_secs(2 * WATCH_TIMEOUT_SECONDS as u64);
/// Edges get this long to answer or fail once before anything is counted as lost: the longest pause between attempts,
/// and an answer.
pub const LINK_SETTLE: Duration = Duration::from_secs(10);
/// Attempts to make a Secret while others change it too.
pub const SECRET_ATTEMPTS: usize = 4;
/// Locks that namespaces share while their link Secret is written; more than reconciles at once.
pub const SECRET_LOCKS: usize = 16;
/// Attempts to write the Lease while others write it too.
pub const TERM_ATTEMPTS: usize = 8;

/// Connections to the admin port at once: a few probes and scrapers.
pub const ADMIN_CONNECTIONS: usize = 32;
/// A connection to the admin port without a complete request head is closed after this; idle ones too.
pub const ADMIN_HEAD: Duration = Duration::from_secs(15);
/// A connection to the admin port may be used this long altogether.
pub const ADMIN_CONNECTION: Duration = Duration::from_secs(600);
/// Bytes of a request head to the admin port: probes send little.
pub const ADMIN_HEAD_BYTES: usize = 8 << 10;
/// After an error of accepting a connection none is accepted for this long.
pub const ADMIN_ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Names that wait to be reconciled or reported. Beyond it watches wait, which loses nothing.
pub const TRIGGERS: usize = 4_096;
/// Changes of one Distribution and its objects within this time are looked at once.
pub const RECONCILE_SETTLE: Duration = Duration::from_millis(50);
/// Every Distribution is looked at this often though nothing happened; each pause is shortened by up to a fifth.
pub const RESYNC: Duration = Duration::from_secs(600);
/// A Distribution whose objects' names are taken is looked at again after this: nobody tells when they become free.
pub const CONFLICT_RETRY: Duration = Duration::from_secs(5);
/// First pause after a reconcile that failed.
pub const RECONCILE_RETRY_MIN: Duration = Duration::from_millis(200);
/// Longest pause after a reconcile that failed.
pub const RECONCILE_RETRY_MAX: Duration = Duration::from_secs(300);
/// Statuses that are written at once.
pub const REPORTS: u16 = 16;
/// The status of one Distribution is written at most this often.
pub const STATUS_SPACING: Duration = Duration::from_millis(500);
/// Edges that were told something new get this long to answer before the status says that they have not.
pub const ANSWER_GRACE: Duration = Duration::from_millis(200);
/// Pause before a new operator looks again whether all edges have answered it.
pub const SETTLE_POLL: Duration = Duration::from_millis(100);
/// Events that wait to be published; more are dropped.
pub const EVENTS_QUEUED: usize = 1_024;
/// Events that an object may have in quick succession.
pub const EVENTS_BURST: u32 = 20;
/// After the burst, an object may have one more event each time this has passed.
pub const EVENT_RECOVERY: Duration = Duration::from_secs(60);
/// Objects whose recent events are counted; 64 bytes each.
pub const EVENTS_OBJECTS: usize = 16_384;
/// Longest note of an event, bytes: the API server takes no more.
pub const EVENT_NOTE_BYTES: usize = 1_024;
/// Longest name of a reporting process, bytes: the API server takes no more.
pub const EVENT_INSTANCE_BYTES: usize = 128;
