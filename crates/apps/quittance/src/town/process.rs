//! A node as a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use quittance_api::Info;
use quittance_regtest::loopback::free_address;

use crate::Caller;
use crate::Outcome;

/// A node, running or not.
pub struct Process {
    /// Its name in stories.
    pub name: &'static str,
    /// Its files.
    pub folder: PathBuf,
    program: PathBuf,
    arguments: Vec<String>,
    /// Where it listens for peers.
    pub listen: SocketAddr,
    /// Where it is to listen for commands.
    pub api: String,
    /// What it finds in its environment beside what we have.
    pub environment: Vec<(&'static str, String)>,
    child: Option<Child>,
    caller: Option<Caller>,
}

/// How long a start may take on a busy machine.
const START_PATIENCE: Duration = Duration::from_mins(1);

impl Process {
    /// A node in a new folder, which does not run yet.
    pub fn new(name: &'static str, program: &Path, parent: &Path, arguments: Vec<String>) -> Outcome<Self> {
        Ok(Self {
            name,
            folder: parent.join(name),
            program: program.to_owned(),
            arguments,
            listen: free_address()?,
            api: "127.0.0.1:0".to_owned(),
            environment: Vec::new(),
            child: None,
            caller: None,
        })
    }

    /// Starts it, and waits until it runs.
    ///
    /// # Errors
    /// When it ends instead, or takes too long.
    pub fn start(&mut self, extra: &[String]) -> Outcome<Info> {
        self.spawn(extra)?;
        self.answer(|caller| caller.get("/v1/info").ok())
    }

    /// Starts it, and does not wait: it may be locked, or wait for its chain.
    ///
    /// # Errors
    /// When the system does not start it.
    pub fn spawn(&mut self, extra: &[String]) -> Outcome<()> {
        std::fs::create_dir_all(&self.folder)?;
        let noted = self.folder.join("api-address");
        // What the last run left would be taken for this one's.
        let _ = std::fs::remove_file(&noted);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))?;
        let child = Command::new(&self.program)
            .arg("run")
            .arg("--dir")
            .arg(&self.folder)
            .args(["--network", "regtest", "--hasty", "--api", &self.api])
            .args(["--log", "quittance_node=debug,info"])
            .arg("--listen")
            .arg(self.listen.to_string())
            .args(&self.arguments)
            .args(extra)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Asks a process that was started until it gives the answer that is waited for.
    ///
    /// # Errors
    /// When it ends instead, or takes too long.
    pub fn answer<T>(&mut self, mut ask: impl FnMut(&Caller) -> Option<T>) -> Outcome<T> {
        let began = Instant::now();
        loop {
            if let Some(caller) = self.caller_of_notes()
                && let Some(answer) = ask(&caller)
            {
                self.caller = Some(caller);
                return Ok(answer);
            }
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                let (name, log) = (self.name, self.end_of_log());
                return Err(format!("{name} does not start: {status}; its log ends so:\n{log}").into());
            }
            if began.elapsed() > START_PATIENCE {
                let (name, log) = (self.name, self.end_of_log());
                return Err(format!("{name} does not answer; its log ends so:\n{log}").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it by SIGKILL: nothing in it runs any more from then on.
    pub fn kill(&mut self) -> Outcome<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        self.caller = None;
        Ok(())
    }

    /// With what status it ended by itself, if it did.
    ///
    /// # Errors
    /// What the system says.
    pub fn ended(&mut self) -> Outcome<Option<i32>> {
        let status = self.child.as_mut().map(Child::try_wait).transpose()?.flatten();
        Ok(status.and_then(|status| status.code()))
    }

    /// Waits until it has ended by itself; its status.
    ///
    /// # Errors
    /// When it does not run.
    pub fn wait(&mut self) -> Outcome<ExitStatus> {
        self.caller = None;
        let mut child = self.child.take().ok_or("it does not run")?;
        Ok(child.wait()?)
    }

    /// Its number, while it runs.
    pub fn number(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Runs a command of the program on its folder.
    ///
    /// # Errors
    /// When the system does not start it.
    pub fn command(&self, arguments: &[&str]) -> Outcome<Output> {
        let mut command = Command::new(&self.program);
        command
            .arg("--dir")
            .arg(&self.folder)
            .args(arguments)
            .stdin(Stdio::null());
        Ok(command.output()?)
    }

    /// Its interface.
    pub fn caller(&self) -> Outcome<&Caller> {
        self.caller
            .as_ref()
            .ok_or_else(|| format!("{} does not run", self.name).into())
    }

    /// Its store.
    pub fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Runs the test command of a stopped node that loses its manager's rows, or takes those of an older copy of its store.
    pub fn lose_manager_rows(&self, older: Option<&Path>) -> Outcome<()> {
        let mut command = Command::new(&self.program);
        command.arg("lose-manager-rows").arg("--dir").arg(&self.folder);
        if let Some(older) = older {
            command.arg("--take-from").arg(older);
        }
        let output = command.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(())
    }

    /// The last lines of what it wrote.
    fn end_of_log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    fn caller_of_notes(&self) -> Option<Caller> {
        let address = std::fs::read_to_string(self.folder.join("api-address")).ok()?;
        let token = std::fs::read_to_string(self.folder.join("token-admin")).ok()?;
        Some(Caller {
            address: address.trim().parse().ok()?,
            token: token.trim().to_owned(),
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is ours, and must not outlive the test.
        let _ = self.kill();
    }
}

/// Copies a folder and the files in it.
pub fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    if to.exists() {
        std::fs::remove_dir_all(to)?;
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
