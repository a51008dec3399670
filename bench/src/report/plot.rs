//! The plots of the report.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::summary::{PingPong, Scenario};
use crate::peer::Peer;
use crate::{Error, Result};

/// File name without stem, title, and SVG.
type Plot = (&'static str, String, String);
/// A peer's points: number of prefixes or rules, nanoseconds.
type Curve = (String, Vec<(f64, f64)>);

const WIDTH: u32 = 900;
const ROW: u32 = 26;

/// All plots for which there is data.
pub fn all(scenarios: &[Scenario], ping_pongs: &[PingPong]) -> Result<Vec<Plot>> {
    let mut plots = Vec::new();
    for (file, title, name) in [
        (
            "closed",
            "Dropped: TCP SYN to closed ports, host rules (ns a packet)",
            "closed port, TCP | host | v4",
        ),
        (
            "new",
            "Accepted: new UDP flows, host rules with state (ns a packet)",
            "accepted, new flows | host, egress restricted | v4",
        ),
        (
            "known",
            "Accepted: known UDP flows, host rules with state (ns a packet)",
            "accepted, known flows | host, egress restricted | v4",
        ),
    ] {
        if let Some(scenario) = scenarios.iter().find(|scenario| scenario.name == name) {
            let bars: Vec<_> = scenario
                .rows
                .iter()
                .map(|row| (row.peer.clone(), row.receive.median))
                .collect();
            plots.push((file, title.to_owned(), bar_chart(title, &bars)?));
        }
    }
    for (file, title, prefix, suffix, axis) in [
        (
            "blocklist",
            "Dropped: packets from a blocklist, IPv4 (ns a packet)",
            "listed sources | ",
            " prefixes (v4) | v4",
            "prefixes",
        ),
        (
            "rules",
            "Dropped: closed ports behind many rules (ns a packet)",
            "closed port, TCP | ",
            " rules | v4",
            "rules",
        ),
    ] {
        let curves = curves(scenarios, prefix, suffix);
        if curves.iter().any(|(_, points)| points.len() > 1) {
            plots.push((file, title.to_owned(), curve_chart(title, axis, &curves)?));
        }
    }
    if !ping_pongs.is_empty() {
        let title = "Round trip over TCP, p99 (µs)";
        let bars: Vec<_> = ping_pongs
            .iter()
            .map(|row| (row.peer.clone(), row.quantiles[1].median))
            .collect();
        plots.push(("latency", title.to_owned(), bar_chart(title, &bars)?));
    }
    Ok(plots)
}

/// Costs by the number that stands between `prefix` and `suffix` in the name.
fn curves(scenarios: &[Scenario], prefix: &str, suffix: &str) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for scenario in scenarios {
        let number = scenario
            .name
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix(suffix))
            .and_then(|number| number.parse::<f64>().ok());
        let Some(number) = number else { continue };
        for row in &scenario.rows {
            let point = (number, row.receive.median.max(1.0));
            match curves.iter_mut().find(|(peer, _)| *peer == row.peer) {
                Some((_, points)) => points.push(point),
                None => curves.push((row.peer.clone(), vec![point])),
            }
        }
    }
    curves
}

/// Our rows stand out; the others keep their colour from plot to plot.
fn colour(peer: &str) -> RGBColor {
    const OTHERS: [RGBColor; 10] = [
        RGBColor(120, 120, 120),
        RGBColor(200, 30, 30),
        RGBColor(235, 130, 120),
        RGBColor(70, 130, 60),
        RGBColor(40, 90, 170),
        RGBColor(110, 160, 220),
        RGBColor(130, 80, 160),
        RGBColor(190, 150, 210),
        RGBColor(160, 160, 160),
        RGBColor(60, 60, 60),
    ];
    Peer::ALL
        .iter()
        .position(|known| known.to_string() == peer)
        .map_or(BLACK, |index| OTHERS[index])
}

fn bar_chart(title: &str, bars: &[(String, f64)]) -> Result<String> {
    let height = 60 + ROW * bars.len() as u32;
    draw(height, |area| {
        area.titled(title, ("sans-serif", 16))?;
        let longest = bars.iter().map(|(_, value)| *value).fold(1.0, f64::max);
        let (left, room) = (170, f64::from(WIDTH) - 260.0);
        for (i, (peer, value)) in bars.iter().enumerate() {
            let y = 40 + ROW as i32 * i as i32;
            let end = left + (value.max(0.0) / longest * room) as i32;
            area.draw(&Rectangle::new(
                [(left, y), (end.max(left + 1), y + 18)],
                colour(peer).filled(),
            ))?;
            area.draw(&Text::new(peer.clone(), (10, y + 3), ("sans-serif", 13)))?;
            area.draw(&Text::new(
                format!("{value:.1}"),
                (end + 6, y + 3),
                ("sans-serif", 13),
            ))?;
        }
        Ok(())
    })
}

fn curve_chart(title: &str, axis: &str, curves: &[Curve]) -> Result<String> {
    let points = || curves.iter().flat_map(|(_, points)| points);
    let highest = points().map(|point| point.1).fold(1.0, f64::max);
    let lowest = points().map(|point| point.1).fold(highest, f64::min);
    let most = points().map(|point| point.0).fold(1.0, f64::max);
    draw(460, |area| {
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 16))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(60)
            .build_cartesian_2d(
                (1.0..most * 1.2).log_scale(),
                (lowest * 0.7..highest * 1.5).log_scale(),
            )?;
        chart
            .configure_mesh()
            .max_light_lines(0)
            .x_desc(axis)
            .y_desc("ns a packet")
            .x_label_formatter(&|value| format!("{value:.0}"))
            .y_label_formatter(&|value| format!("{value:.0}"))
            .draw()?;
        for (peer, points) in curves {
            let colour = colour(peer);
            let width = if peer.starts_with("fw-ctl") { 3 } else { 1 };
            chart
                .draw_series(
                    LineSeries::new(points.iter().copied(), colour.stroke_width(width))
                        .point_size(3),
                )?
                .label(peer.clone())
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(width))
                });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .draw()?;
        Ok(())
    })
}

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

/// An SVG of our width, white, with what `fill` draws.
fn draw(
    height: u32,
    fill: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Drawn,
) -> Result<String> {
    let mut svg = String::new();
    let drawn = (|| -> Drawn {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        fill(&area)?;
        area.present()?;
        Ok(())
    })();
    drawn.map_err(|error| Error::Unfit(format!("a plot cannot be drawn: {error}")))?;
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::super::summary::Row;
    use super::*;
    use crate::statistics::Summary;

    fn scenario(name: &str, ns: f64) -> Scenario {
        Scenario {
            name: name.into(),
            rows: vec![Row {
                peer: "fw-ctl (XDP)".into(),
                receive: Summary::of([ns]).unwrap(),
                ratio: None,
                above_nothing: None,
                fault: None,
            }],
        }
    }

    #[test]
    fn a_curve_takes_its_numbers_from_the_names() {
        let scenarios = [
            scenario("listed sources | 1000 prefixes (v4) | v4", 40.0),
            scenario("listed sources | 10000 prefixes (v4) | v4", 50.0),
            scenario("listed sources | 10000 prefixes (v6) | v6", 60.0),
        ];
        let curves = curves(&scenarios, "listed sources | ", " prefixes (v4) | v4");
        assert_eq!(curves.len(), 1);
        assert_eq!(curves[0].1, [(1e3, 40.0), (1e4, 50.0)]);
    }

    #[test]
    fn plots_are_svg_and_name_the_peer() {
        let scenarios = [
            scenario("closed port, TCP | host | v4", 57.0),
            scenario("listed sources | 1000 prefixes (v4) | v4", 40.0),
            scenario("listed sources | 10000 prefixes (v4) | v4", 50.0),
        ];
        let plots = all(&scenarios, &[]).unwrap();
        let files: Vec<_> = plots.iter().map(|(file, ..)| *file).collect();
        assert_eq!(files, ["closed", "blocklist"]);
        for (_, _, svg) in plots {
            assert!(
                svg.starts_with("<svg") && svg.contains("fw-ctl (XDP)"),
                "{svg}"
            );
        }
    }
}
