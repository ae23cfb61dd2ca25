//! Supervision of shell scripts that play edges.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tempfile::TempDir;

use super::*;

/// Far beyond anything that happens; only a fault waits this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Says what an edge says, with addresses that nobody listens on.
const HELLO: &str = r#"echo '{"http":"127.0.0.1:1","admin":"127.0.0.1:2","control":"127.0.0.1:3","pid":'$$'}'"#;

struct Supervised {
    process: Process,
    events: mpsc::Receiver<ProcessEvent>,
    folder: TempDir,
}

fn start(script: &str) -> Supervised {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("edge");
    fs::write(&binary, format!("#!/bin/sh\ncd {}\n{script}\n", folder.path().display())).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let (process, events) = start_binary(binary, "127.0.0.1:0".parse().unwrap());
    Supervised { process, events, folder }
}

fn start_binary(binary: PathBuf, http: SocketAddr) -> (Process, mpsc::Receiver<ProcessEvent>) {
    let (sender, events) = mpsc::channel(16);
    let spec = ProcessSpec {
        name: "e".to_owned(),
        binary,
        args: vec!["run".into()],
        http,
        log: "warn".to_owned(),
        incarnations: Arc::default(),
    };
    (Process::start(spec, sender), events)
}

async fn next(events: &mut mpsc::Receiver<ProcessEvent>) -> ProcessEvent {
    tokio::time::timeout(PATIENCE, events.recv()).await.expect("news").expect("a supervisor")
}

async fn listening(events: &mut mpsc::Receiver<ProcessEvent>) -> (u64, Hello) {
    let event = next(events).await;
    let ProcessNews::Listening(hello) = event.news else { panic!("{event:?}") };
    (event.incarnation, hello)
}

async fn ended(events: &mut mpsc::Receiver<ProcessEvent>) -> ProcessError {
    let event = next(events).await;
    let ProcessNews::Ended(error) = event.news else { panic!("{event:?}") };
    error
}

fn is_alive(pid: u32) -> bool {
    // A process that ended and was not yet waited for still has an entry, in state Z.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn is_gone(pid: u32) {
    tokio::time::timeout(PATIENCE, async {
        while is_alive(pid) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the process ends");
}

#[tokio::test]
async fn a_dead_edge_is_started_again_as_another_incarnation() {
    let mut edge = start(&format!("{HELLO}\nread line"));
    let (first, hello) = listening(&mut edge.events).await;
    kill_process(Pid::from_raw(i32::try_from(hello.pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    assert!(matches!(ended(&mut edge.events).await, ProcessError::Exited(_)));
    // Its successor is asked for the port that the first one had.
    let event = next(&mut edge.events).await;
    assert_ne!(event.incarnation, first);
}

#[tokio::test]
async fn a_stopped_edge_may_finish_what_it_does() {
    let edge_script =
        format!("trap 'echo done > finished; exit 0' TERM\n{HELLO}\nwhile :; do read line || sleep 0.01; done");
    let mut edge = start(&edge_script);
    let (_, hello) = listening(&mut edge.events).await;
    edge.process.stop().await;
    assert_eq!(fs::read_to_string(edge.folder.path().join("finished")).unwrap(), "done\n");
    assert!(!is_alive(hello.pid));
}

#[tokio::test]
async fn an_edge_whose_supervisor_is_dropped_is_killed() {
    let mut edge = start(&format!("trap '' TERM\n{HELLO}\nwhile :; do sleep 0.01; done"));
    let (_, hello) = listening(&mut edge.events).await;
    drop(edge.process);
    is_gone(hello.pid).await;
}

#[tokio::test]
async fn an_edge_holds_an_open_standard_input() {
    let mut edge = start(&format!("{HELLO}\nread line; echo closed > input"));
    let (_, hello) = listening(&mut edge.events).await;
    assert!(is_alive(hello.pid));
    assert!(!edge.folder.path().join("input").exists());
}

#[tokio::test]
async fn an_edge_that_ends_before_it_listens_died_early() {
    let mut edge = start("exit 3");
    let error = ended(&mut edge.events).await;
    assert!(matches!(error, ProcessError::DiedEarly(_)) && error.is_fatal(), "{error}");
    assert!(error.to_string().contains("exit status: 3"), "{error}");
}

#[tokio::test]
async fn an_edge_that_says_something_else_is_ended() {
    let mut edge = start("echo hello\necho $$ > pid\nexec sleep 1000");
    let error = ended(&mut edge.events).await;
    assert!(matches!(&error, ProcessError::NoHello(what) if what.contains("\"hello\"")), "{error}");
}

#[tokio::test]
async fn a_binary_that_is_not_there_is_named() {
    let (_process, mut events) = start_binary(PathBuf::from("/no/such/edge"), "127.0.0.1:0".parse().unwrap());
    let error = ended(&mut events).await;
    assert!(error.to_string().starts_with("cannot start /no/such/edge: "), "{error}");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_what_to_do() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let error = check_port_is_free(taken).unwrap_err();
    assert!(matches!(error, ProcessError::PortInUse { address } if address == taken));
    assert!(error.to_string().contains(&taken.to_string()) && error.to_string().contains("--listen"), "{error}");
    let (_process, mut events) = start_binary(PathBuf::from("/bin/true"), taken);
    assert!(matches!(ended(&mut events).await, ProcessError::PortInUse { .. }));
}

#[tokio::test]
async fn a_port_that_its_owner_shares_is_in_use_too() {
    use socket2::{Domain, Socket, Type};
    let holder = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    holder.set_reuse_port(true).unwrap();
    holder.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    holder.listen(1).unwrap();
    let taken = holder.local_addr().unwrap().as_socket().unwrap();
    assert!(matches!(check_port_is_free(taken), Err(ProcessError::PortInUse { .. })));
}
