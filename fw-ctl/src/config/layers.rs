//! The layers of the configuration, lowest first: defaults, the package's file,
//! the operator's file, drop-ins beside it (`conf.d/*.toml`, sorted), the
//! environment (`FW_CTL_*`, `__` nests), flags. A later layer replaces a key as a
//! whole, lists too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::contradictions::{Contradiction, contradictions};
use super::failsafe::KEPT;
use super::place::Places;
use super::{Config, DEFAULT_FILE, Origin, Paths, VENDOR_FILE, keys, wording};
use crate::diagnostic::{Diagnostic, Severity, Source};
use crate::texts;
use crate::why::why;

/// Prefix of the environment variables.
const PREFIX: &str = "FW_CTL_";
/// `FW_CTL_LOG` is the filter of the log, not a key.
const NOT_KEYS: [&str; 1] = ["FW_CTL_LOG"];

/// What flags say.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config`: must exist if given.
    pub config: Option<PathBuf>,
    /// `--policies`.
    pub policies: Vec<PathBuf>,
    /// `--inventory`.
    pub inventory: Vec<PathBuf>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--run-dir`.
    pub run_dir: Option<PathBuf>,
    /// `--pin-dir`.
    pub pin_dir: Option<PathBuf>,
    /// `--node`.
    pub node: Option<String>,
}

/// A configuration and what may be said about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// The files that were read, lowest layer first.
    pub files: Vec<PathBuf>,
    /// Not wrong, but probably not meant.
    pub warnings: Vec<Diagnostic>,
}

/// Reads all layers. `environment` is that of the process
/// (`std::env::vars_os`), given so that tests need not change theirs.
///
/// # Errors
/// Everything that is wrong in the first stage that finds a fault: unreadable
/// files and syntax; unknown keys; types; contradictions.
pub fn load(
    overrides: &Overrides,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, Vec<Diagnostic>> {
    stack(overrides, environment).finish()
}

/// Reads a text as if it were the only file.
///
/// # Errors
/// As [`load`].
pub fn load_text(text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    let mut stack = Stack::default();
    stack.text(Path::new("fw-ctl.toml"), text.to_owned());
    stack.finish()
}

/// What `text` comes to as the main file at `file`, with the package's file at `vendor` and the
/// drop-ins that are there: as [`load`] would read it once it is written.
///
/// # Errors
/// As [`load`].
pub fn preview(
    file: &Path,
    text: String,
    vendor: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, Vec<Diagnostic>> {
    let mut stack = Stack::default();
    stack.file(vendor, false);
    stack.text(file, text);
    stack.drop_ins(file);
    stack.variables(environment);
    stack.finish()
}

/// The `[paths]` of a configuration that is refused: from every layer that can be
/// read, however wrong the rest of it is. Beside them the files that cannot be read,
/// or are not TOML: they may name other paths.
pub fn paths(
    overrides: &Overrides,
    environment: impl IntoIterator<Item = (String, String)>,
) -> (Paths, Vec<PathBuf>) {
    let stack = stack(overrides, environment);
    let last = |key: &str, default: PathBuf| {
        let values = stack.layers.iter().rev();
        let mut values = values.filter_map(|layer| layer.values.get("paths")?.as_dict()?.get(key));
        let value = values.find_map(Value::as_str);
        value.map_or(default, PathBuf::from)
    };
    let defaults = Paths::default();
    let paths = Paths {
        state_dir: last("state_dir", defaults.state_dir),
        run_dir: last("run_dir", defaults.run_dir),
        pin_dir: last("pin_dir", defaults.pin_dir),
    };
    (paths, stack.unreadable)
}

fn stack(overrides: &Overrides, environment: impl IntoIterator<Item = (String, String)>) -> Stack {
    let mut stack = Stack::default();
    stack.file(Path::new(VENDOR_FILE), false);
    let main = overrides.config.as_deref();
    stack.file(main.unwrap_or(Path::new(DEFAULT_FILE)), main.is_some());
    stack.drop_ins(main.unwrap_or(Path::new(DEFAULT_FILE)));
    stack.variables(environment);
    stack.flags(overrides);
    stack
}

fn sorted_toml(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    files.sort();
    files
}

/// One layer: its values and the text that they were read from.
struct Layer {
    source: Arc<Source>,
    places: Option<Places>,
    values: Dict,
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

#[derive(Default)]
struct Stack {
    layers: Vec<Layer>,
    files: Vec<PathBuf>,
    unreadable: Vec<PathBuf>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl Stack {
    fn file(&mut self, path: &Path, must_exist: bool) {
        let name = path.display().to_string();
        let text = match texts::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => return,
            Err(error) => {
                self.unreadable.push(path.to_owned());
                let source = Arc::new(Source {
                    name,
                    text: String::new(),
                });
                self.errors.push(Diagnostic {
                    help: Some("it must be a readable text file".into()),
                    ..finding(
                        &source,
                        format!("cannot read the configuration: {}", why(&error)),
                    )
                });
                return;
            }
        };
        self.text(path, text);
    }

    /// What is in the file at `path`.
    fn text(&mut self, path: &Path, text: String) {
        self.files.push(path.to_owned());
        let name = path.display().to_string();
        let source = Arc::new(Source { name, text });
        let parsed = Places::parse(&source.text).and_then(|places| {
            toml_edit::de::from_str::<Dict>(&source.text)
                .map(|values| (places, values))
                .map_err(|error| (error.message().to_owned(), None))
        });
        match parsed {
            Ok((places, values)) => {
                self.unknown_keys(&source, &places);
                self.layers.push(Layer {
                    source,
                    places: Some(places),
                    values,
                });
            }
            Err((message, span)) => {
                self.unreadable.push(path.to_owned());
                self.errors.push(Diagnostic {
                    span,
                    ..finding(&source, format!("this is not TOML: {message}"))
                });
            }
        }
    }

    fn unknown_keys(&mut self, source: &Arc<Source>, places: &Places) {
        places.leaves(&mut |path| {
            if let Err(unknown) = keys::check(path) {
                let wrong = &path[..=unknown.known];
                self.errors.push(Diagnostic {
                    span: places.find(wrong),
                    path: wrong.join("."),
                    help: Some(unknown.help),
                    ..finding(source, format!("unknown key `{}`", wrong.join(".")))
                });
            }
        });
    }

    /// Those beside the main file.
    fn drop_ins(&mut self, main: &Path) {
        let beside = main.parent().unwrap_or(Path::new("."));
        for path in sorted_toml(&beside.join("conf.d")) {
            self.file(&path, true);
        }
    }

    fn variables(&mut self, environment: impl IntoIterator<Item = (String, String)>) {
        let mut variables: Vec<_> = environment
            .into_iter()
            .filter(|(name, _)| name.starts_with(PREFIX) && !NOT_KEYS.contains(&name.as_str()))
            .collect();
        variables.sort();
        for (name, value) in &variables {
            self.variable(name, value);
        }
    }

    fn variable(&mut self, name: &str, value: &str) {
        let source = Arc::new(Source {
            name: format!("environment variable {name}"),
            text: String::new(),
        });
        let key = name[PREFIX.len()..].to_ascii_lowercase();
        let path: Vec<&str> = key.split("__").collect();
        if let Err(unknown) = keys::check(&path) {
            let nested = path.len() > 1;
            let diagnostic = Diagnostic {
                severity: if nested {
                    Severity::Error
                } else {
                    Severity::Warning
                },
                help: Some(unknown.help),
                ..finding(&source, format!("unknown key `{}`", path.join(".")))
            };
            // Without `__` it cannot be meant as a key: there are none at the top.
            if nested {
                self.errors.push(diagnostic);
            } else {
                self.warnings.push(diagnostic);
            }
            return;
        }
        let value: Value = value
            .parse()
            .unwrap_or_else(|never: std::convert::Infallible| match never {});
        let nested = figment::util::nest(&path.join("."), value);
        self.layers.push(Layer {
            source,
            places: None,
            values: nested.into_dict().unwrap_or_default(),
        });
    }

    fn flags(&mut self, overrides: &Overrides) {
        let text = |path: &PathBuf| Value::from(path.display().to_string());
        let list = |paths: &Vec<PathBuf>| {
            (!paths.is_empty()).then(|| paths.iter().map(text).collect::<Vec<_>>().into())
        };
        let flags: [(&str, &str, Option<Value>); 6] = [
            ("--policies", "policy.dirs", list(&overrides.policies)),
            (
                "--inventory",
                "policy.inventory",
                list(&overrides.inventory),
            ),
            (
                "--state-dir",
                "paths.state_dir",
                overrides.state_dir.as_ref().map(text),
            ),
            (
                "--run-dir",
                "paths.run_dir",
                overrides.run_dir.as_ref().map(text),
            ),
            (
                "--pin-dir",
                "paths.pin_dir",
                overrides.pin_dir.as_ref().map(text),
            ),
            (
                "--node",
                "node.name",
                overrides.node.clone().map(Value::from),
            ),
        ];
        for (flag, key, value) in flags {
            let Some(value) = value else { continue };
            self.layers.push(Layer {
                source: Arc::new(Source {
                    name: format!("flag {flag}"),
                    text: String::new(),
                }),
                places: None,
                values: figment::util::nest(key, value)
                    .into_dict()
                    .unwrap_or_default(),
            });
        }
    }

    fn finish(mut self) -> Result<Loaded, Vec<Diagnostic>> {
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        let figment = self
            .layers
            .iter()
            .fold(Figment::new(), |figment, layer| figment.merge(layer));
        let mut config: Config = match figment.extract() {
            Ok(config) => config,
            Err(error) => return Err(error.into_iter().map(|e| self.type_error(&e)).collect()),
        };
        self.place_failsafe(&mut config, &figment);
        for found in contradictions(&config) {
            let error = self.contradiction(found, &figment);
            self.errors.push(error);
        }
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        Ok(Loaded {
            config,
            files: self.files,
            warnings: self.warnings,
        })
    }

    /// Says of every failsafe entry where it stands.
    fn place_failsafe(&mut self, config: &mut Config, figment: &Figment) {
        let failsafe = &mut config.failsafe;
        for (list, entries) in [
            ("inbound", &mut failsafe.inbound),
            ("outbound", &mut failsafe.outbound),
        ] {
            let Some(layer) = self.layer(&format!("failsafe.{list}"), figment) else {
                continue;
            };
            let mut wrong = Vec::new();
            for (i, entry) in entries.iter_mut().enumerate() {
                let path = ["failsafe", list, &i.to_string()].map(str::to_owned);
                if !entry.origin.0.is_empty() {
                    wrong.push(Contradiction {
                        path: [&path[..], &[KEPT.to_owned()]].concat(),
                        message: format!("unknown key `{KEPT}`\nthere are: protocol, port, cidr"),
                    });
                }
                let span = layer.places.as_ref().and_then(|places| places.find(&path));
                let line = span.map_or_else(String::new, |span| format!(":{}", span.line));
                entry.origin = Origin(format!("{}{line}", layer.source.name));
            }
            let wrong: Vec<_> = wrong
                .into_iter()
                .map(|found| self.contradiction(found, figment))
                .collect();
            self.errors.extend(wrong);
        }
    }

    /// The layer that had the last word on a key.
    fn layer(&self, key: &str, figment: &Figment) -> Option<&Layer> {
        let metadata = figment.find_metadata(key)?;
        self.layers
            .iter()
            .find(|layer| layer.source.name == metadata.name)
    }

    fn type_error(&self, error: &Error) -> Diagnostic {
        let layer = error
            .metadata
            .as_ref()
            .and_then(|metadata| self.layers.iter().find(|l| l.source.name == metadata.name));
        let (message, help) = wording::with_help(wording::of(&error.kind));
        let key = wording::key(&error.path);
        let message = if key.is_empty() {
            message
        } else {
            format!("`{key}`: {message}")
        };
        match layer {
            Some(layer) => Diagnostic {
                span: layer
                    .places
                    .as_ref()
                    .and_then(|places| places.find(&error.path)),
                path: key,
                help,
                ..finding(&layer.source, message)
            },
            None => finding(&nowhere(), message),
        }
    }

    /// Points at the layer that had the last word on the key.
    fn contradiction(&self, found: Contradiction, figment: &Figment) -> Diagnostic {
        let Contradiction { path, message } = found;
        let (message, help) = wording::with_help(message);
        // Layers replace lists as a whole.
        let is_key = |part: &&String| part.parse::<usize>().is_err();
        let key: Vec<&str> = path.iter().take_while(is_key).map(String::as_str).collect();
        match self.layer(&key.join("."), figment) {
            Some(layer) => Diagnostic {
                span: layer.places.as_ref().and_then(|places| places.find(&path)),
                path: wording::key(&path),
                help,
                ..finding(&layer.source, message)
            },
            None => finding(&nowhere(), message),
        }
    }
}

/// For what stands in no layer.
fn nowhere() -> Arc<Source> {
    Arc::new(Source {
        name: "configuration".into(),
        text: String::new(),
    })
}

fn finding(source: &Arc<Source>, message: String) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        source: Arc::clone(source),
        span: None,
        path: String::new(),
        message,
        label: None,
        help: None,
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
