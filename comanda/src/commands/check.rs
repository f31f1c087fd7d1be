//! `comanda check`: what is wrong with the configuration, all of it, and what the roles could not reach.

use serde_json::json;

use super::configuration;
use crate::cli::{CheckArgs, Role};
use crate::failure::Failure;
use crate::platform::aws::{AwsClients, AwsNames};
use crate::platform::grid::link::GridLink;
use crate::platform::production::ProductionSecrets;
use crate::platform::{internal_rpc, reachability};
use crate::settings::Settings;

/// Checks and prints.
pub async fn execute(arguments: CheckArgs) -> Result<(), Failure> {
    let layers = configuration::layers(&arguments.settings)?;
    if arguments.print {
        for line in layers.printed() {
            println!("{line}");
        }
    }
    let settings = Settings::from_layers(&layers).map_err(Failure::Configuration)?;
    let roles = if arguments.roles.is_empty() { Role::ALL.to_vec() } else { arguments.roles.clone() };
    ProductionSecrets::for_roles(&settings, &roles, &configuration::environment()).map_err(Failure::Configuration)?;
    // As `run` reads them: certificates that cannot be used, or are not for these roles, are named.
    let listening = internal_rpc::listening(&roles, settings.grid.is_cluster());
    GridLink::answering_as(&settings.grid, &listening).await?;
    if arguments.online {
        let aws = AwsClients::from_environment(&settings).await;
        let unreachable = reachability::unreachable(&aws, &AwsNames::new(&settings.aws_prefix), &roles).await;
        if !unreachable.is_empty() {
            return Err(Failure::Failed(format!("not reachable:\n  {}", unreachable.join("\n  "))));
        }
    }
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    if arguments.output.json {
        println!("{}", json!({"ok": true, "roles": names, "online": arguments.online}));
    } else {
        eprintln!("configuration ok for {}", names.join(", "));
    }
    Ok(())
}
