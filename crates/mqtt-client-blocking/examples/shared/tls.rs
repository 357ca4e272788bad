//! The flags of both commands that say whom to trust and what to show: `--cafile`, `--cert` and
//! `--key`, each with a PEM file.

use mqtt_client_blocking::ClientBuilder;

/// What stands behind the flags.
#[derive(Default)]
pub(crate) struct TlsFlags {
    cafile: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

impl TlsFlags {
    /// Where the value of this flag belongs, if it is one of them.
    pub(crate) fn place(&mut self, flag: &str) -> Option<&mut Option<String>> {
        match flag {
            "--cafile" => Some(&mut self.cafile),
            "--cert" => Some(&mut self.cert),
            "--key" => Some(&mut self.key),
            _ => None,
        }
    }

    /// Gives the options of TLS to a client.
    #[cfg(feature = "rustls")]
    pub(crate) fn apply(self, builder: ClientBuilder) -> Result<ClientBuilder, String> {
        let mut tls = mqtt_client_blocking::Tls::new();
        if let Some(cafile) = self.cafile {
            tls = tls.roots_file(cafile);
        }
        tls = match (self.cert, self.key) {
            (None, None) => tls,
            (Some(cert), Some(key)) => tls.client_certificate_files(cert, key),
            _ => return Err("--cert and --key belong together".to_owned()),
        };
        Ok(builder.tls(tls))
    }

    /// Gives the options of TLS to a client.
    #[cfg(not(feature = "rustls"))]
    pub(crate) fn apply(self, builder: ClientBuilder) -> Result<ClientBuilder, String> {
        if self.cafile.or(self.cert).or(self.key).is_some() {
            return Err(
                "--cafile, --cert and --key need the feature `tls`, which is off".to_owned()
            );
        }
        Ok(builder)
    }
}
