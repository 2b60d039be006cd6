//! How far long work is: bars on a terminal, JSON lines for programs, nothing otherwise.

mod json;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use json::JsonLines;

/// Something that happened to a stage of work. Stages run side by side, each under a number of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event<'a> {
    /// A stage began; how many bytes it has to do, if that is known.
    Started {
        stage: u64,
        name: &'a str,
        total: Option<u64>,
    },
    /// A stage has done so many bytes.
    Advanced {
        stage: u64,
        done: u64,
        total: Option<u64>,
    },
    /// Something a person may want to know about a stage.
    Noted { stage: u64, text: &'a str },
    /// A stage is over, well or badly.
    Finished { stage: u64 },
}

/// Who is told.
pub(crate) trait Report: Send + Sync + fmt::Debug {
    /// Takes note of an event.
    fn event(&self, event: Event<'_>);
}

/// How to tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Style {
    /// Bars on standard error if that is a terminal, else nothing.
    Person,
    /// JSON lines on standard output.
    Json,
}

/// Returns who is told, for a style.
pub(crate) fn reporter(style: Style) -> Arc<dyn Report> {
    match style {
        Style::Json => Arc::new(JsonLines::new(Box::new(io::stdout()))),
        Style::Person if io::stderr().is_terminal() => Arc::new(Bars::default()),
        Style::Person => Arc::new(Quiet),
    }
}

/// A stage of work; it is over when this is dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    report: Arc<dyn Report>,
    number: u64,
}

impl Stage {
    /// Begins a stage.
    pub(crate) fn start(report: &Arc<dyn Report>, name: &str, total: Option<u64>) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        report.event(Event::Started {
            stage: number,
            name,
            total,
        });
        Self {
            report: report.clone(),
            number,
        }
    }

    /// Tells how many bytes are done, of how many.
    pub(crate) fn at(&self, done: u64, total: Option<u64>) {
        self.report.event(Event::Advanced {
            stage: self.number,
            done,
            total,
        });
    }

    /// Tells something else.
    pub(crate) fn note(&self, text: &str) {
        self.report.event(Event::Noted {
            stage: self.number,
            text,
        });
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.report.event(Event::Finished { stage: self.number });
    }
}

/// Tells nobody.
#[derive(Debug)]
pub(crate) struct Quiet;

impl Report for Quiet {
    fn event(&self, _event: Event<'_>) {}
}

/// Bars on standard error.
#[derive(Debug, Default)]
struct Bars {
    all: MultiProgress,
    bars: Mutex<BTreeMap<u64, ProgressBar>>,
}

impl Bars {
    fn add(&self, name: &str, total: Option<u64>) -> ProgressBar {
        let bar = self.all.add(ProgressBar::no_length());
        bar.set_message(name.to_owned());
        set_total(&bar, total);
        bar
    }
}

impl Report for Bars {
    fn event(&self, event: Event<'_>) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { stage, name, total } => {
                drop(bars.insert(stage, self.add(name, total)));
            }
            Event::Advanced { stage, done, total } => {
                if let Some(bar) = bars.get(&stage) {
                    set_total(bar, total);
                    bar.set_position(done);
                }
            }
            Event::Noted { stage, text } => {
                if let Some(bar) = bars.get(&stage) {
                    bar.println(format!("{}: {text}", bar.message()));
                }
            }
            Event::Finished { stage } => {
                if let Some(bar) = bars.remove(&stage) {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

fn set_total(bar: &ProgressBar, total: Option<u64>) {
    if bar.length() == total && total.is_some() {
        return;
    }
    let template = match total {
        Some(_) => {
            "{msg:28!} {bar:30} {bytes:>11} of {total_bytes:<11} {bytes_per_sec:>12} {eta:>4}"
        }
        None => "{msg:28!} {spinner} {bytes:>11} {bytes_per_sec:>12}",
    };
    if let Some(total) = total {
        bar.set_length(total);
    }
    bar.set_style(ProgressStyle::with_template(template).expect("the template is well-formed"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::ProgressDrawTarget;

    #[test]
    fn bars_take_every_event() {
        let bars = Bars {
            all: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
            ..Bars::default()
        };
        let report: Arc<dyn Report> = Arc::new(bars);
        let stage = Stage::start(&report, "x", None);
        stage.at(5, None);
        stage.at(6, Some(10));
        stage.note("y");
        report.event(Event::Advanced {
            stage: u64::MAX,
            done: 1,
            total: None,
        });
    }
}
