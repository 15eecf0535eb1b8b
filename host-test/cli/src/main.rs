//! The `palisade` command: check a policy, serve with it, test it, mint tokens for it.
//!
//! **Out:** exit code 0 for a good answer, 1 for a bad one (policy errors, failed cases), 2 for usage and I/O.

/// Prints a line. A reader that went away (`| head`) is no reason to stop, or to change the exit code.
macro_rules! say {
    ($($arguments:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout().lock(), $($arguments)*);
    }};
}

/// Prints a line to the error output, whether somebody reads it or not.
macro_rules! complain {
    ($($arguments:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), $($arguments)*);
    }};
}

mod command;
mod gateway;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Palisade: a firewall for Envoy, and a host that serves, tests, measures and races any Proxy-Wasm filter.
#[derive(Debug, Parser)]
#[command(
    name = "palisade",
    version,
    arg_required_else_help = true,
    after_help = "Exit code: 0 for a good answer; 1 for a bad one (a policy with errors, a failed case, a refused request, a budget \
                  exceeded, a property broken); 2 for wrong use, or a filter or file that cannot be used."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bans(Box<command::bans::Bans>),
    Check(command::check::Check),
    Serve(Box<command::serve::Serve>),
    Test(Box<command::test::Test>),
    Explain(Box<command::explain::Explain>),
    Bench(Box<command::bench::Bench>),
    Simulate(Box<command::simulate::Simulate>),
    Score(Box<command::score::Score>),
    Token(command::token::Token),
    Schema(command::check::Schema),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Bans(bans) => bans.run(),
        Command::Bench(bench) => bench.run(),
        Command::Check(check) => check.run(),
        Command::Explain(explain) => explain.run(),
        Command::Schema(schema) => schema.run(),
        Command::Score(score) => score.run(),
        Command::Serve(serve) => serve.run(),
        Command::Simulate(simulate) => simulate.run(),
        Command::Test(test) => test.run(),
        Command::Token(token) => token.run(),
    };
    done.unwrap_or_else(|error| {
        if let Some(errors) = error.downcast_ref::<command::filter::BadPolicy>() {
            complain!("{errors}");
            return ExitCode::from(1);
        }
        complain!("palisade: {error:#}");
        ExitCode::from(2)
    })
}
