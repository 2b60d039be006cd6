//! The drawing as SVG 1.1: a row of boxes for each tier, arrows between the rows, no script and no foreign font.

use super::{Tier, address, name, tiers};
use crate::{Cluster, Role};

const BOX: (usize, usize) = (190, 46);
const GAP: usize = 14;
/// Space between rows, for an arrow and its label.
const BETWEEN: usize = 40;
const MARGIN: usize = 16;
const HEADING: usize = 56;
/// Boxes in a row before it is broken.
const COLUMNS: usize = 4;
const LABEL: usize = 18;

pub(super) fn render(cluster: &Cluster) -> String {
    let tiers = tiers(cluster);
    let widest = tiers.iter().map(|it| it.nodes.len().min(COLUMNS)).max();
    let columns = widest.unwrap_or(1).max(2);
    let width = 2 * MARGIN + columns * (BOX.0 + GAP) - GAP + 2 * GAP;
    let mut y = HEADING;
    let mut body = String::new();
    for tier in &tiers {
        body.push_str(&row(cluster, tier, y, width));
        y += height(tier);
        if let Some(port) = tier.to_next {
            body.push_str(&arrow(width / 2, y, port));
        }
        y += BETWEEN;
    }
    let height = y - BETWEEN + MARGIN;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">
<title>{}</title>
<rect width="{width}" height="{height}" fill="#fff"/>
<text x="{MARGIN}" y="24" font-size="16">{}, Kubernetes {}</text>
<text x="{MARGIN}" y="42" fill="#555">{} · nodes {} · pods {} · services {}</text>
{body}</svg>
"##,
        cluster.name,
        cluster.name,
        cluster.kubernetes,
        cluster.endpoint,
        cluster.node_cidr,
        cluster.pod_cidr,
        cluster.service_cidr
    )
}

/// The height of a tier's frame.
fn height(tier: &Tier<'_>) -> usize {
    LABEL + tier.nodes.len().div_ceil(COLUMNS) * (BOX.1 + GAP) + GAP / 2
}

fn row(cluster: &Cluster, tier: &Tier<'_>, top: usize, width: usize) -> String {
    let frame = width - 2 * MARGIN;
    let mut res = format!(
        "<rect x=\"{MARGIN}\" y=\"{top}\" width=\"{frame}\" height=\"{}\" rx=\"6\" fill=\"{}\" stroke=\"#888\"/>\n<text x=\"{}\" y=\"{}\" fill=\"#333\">{}</text>\n",
        height(tier),
        colour(tier.role),
        MARGIN + GAP,
        top + LABEL - 4,
        tier.role.as_str()
    );
    for (i, node) in tier.nodes.iter().enumerate() {
        let x = MARGIN + GAP + (i % COLUMNS) * (BOX.0 + GAP);
        let y = top + LABEL + (i / COLUMNS) * (BOX.1 + GAP) + 2;
        // The founder's frame is thick.
        let stroke = if cluster.founds(node) { 2 } else { 1 };
        res.push_str(&format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"4\" fill=\"#fff\" stroke=\"#333\" stroke-width=\"{stroke}\"/>\n<text x=\"{tx}\" y=\"{}\">{}</text>\n<text x=\"{tx}\" y=\"{}\" fill=\"#555\">{}</text>\n",
            BOX.0,
            BOX.1,
            y + 19,
            shortened(&name(cluster, node)),
            y + 36,
            address(cluster, node),
            tx = x + 8
        ));
    }
    res
}

/// A name that fits into its box; names are letters, digits, hyphens and dots, so nothing needs escaping.
fn shortened(name: &str) -> String {
    const FITS: usize = 26;
    if name.len() <= FITS {
        return name.to_owned();
    }
    let head: String = name.chars().take(FITS - 1).collect();
    head + "…"
}

fn arrow(x: usize, y: usize, label: &str) -> String {
    let end = y + BETWEEN - 4;
    format!(
        "<path d=\"M{x} {y}V{end}m-4-6l4 6l4-6\" fill=\"none\" stroke=\"#333\"/>\n<text x=\"{}\" y=\"{}\" fill=\"#333\">{label}</text>\n",
        x + 8,
        y + BETWEEN / 2 + 4
    )
}

fn colour(role: Role) -> &'static str {
    match role {
        Role::LoadBalancer => "#fdf0d5",
        Role::ControlPlane => "#dbeafe",
        Role::Etcd => "#e3f5e1",
        Role::Worker => "#f1f1f4",
        Role::Ca | Role::Storage | Role::Admin => "#f6e9f5",
    }
}
