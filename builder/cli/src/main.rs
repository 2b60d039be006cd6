//! The `nodeimg` command: arguments in, messages out, exit code by whose turn it is.

mod args;
mod host;
mod report;
mod run;

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help that was asked for is no mistake; a mistake in what was typed is exit code 1, as any wrong input.
            let code = u8::from(error.use_stderr());
            return error
                .print()
                .map_or(ExitCode::from(2), |()| ExitCode::from(code));
        }
    };
    let voice = report::Voice::of(&cli.global);
    match run::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => voice.failure(&error),
    }
}
