//! Options that weaken safety: none in a released build, loud in a test build.

#[cfg(not(feature = "guard-off"))]
mod released {
    use portcullis_config::Code;

    use crate::site::{Site, codes};

    #[test]
    fn a_released_build_has_no_switch() {
        let text = "[danger]\ndanger_guards_off = [\"rate-limit\"]\ndanger_allow_weak_secrets = true\n";
        let problems = Site::with(text).problems();
        assert_eq!(codes(&problems), [Code::NoSwitch, Code::NoSwitch]);
        assert!(problems.to_string().contains("this build has no such switch"));
        let loaded =
            Site::with("[danger]\ndanger_guards_off = []\ndanger_allow_weak_secrets = false\n").loaded();
        assert!(loaded.config.dangers().is_empty());
    }

    #[test]
    fn a_refused_switch_does_not_weaken_the_other_judgements() {
        let site = Site::with("[danger]\ndanger_allow_weak_secrets = true\n");
        site.file("secrets/jwt_secret", "short", 0o600);
        let problems = site.problems();
        assert!(problems.iter().any(|problem| problem.code == Code::ShortSecret));
        assert_eq!(problems.warnings(), 0);
    }
}

#[cfg(feature = "guard-off")]
mod weakened {
    use portcullis_config::{Code, WeakSecrets};

    use crate::site::{Site, codes};

    #[test]
    fn a_switched_off_guard_is_told_in_warnings_and_dangers() {
        let loaded = Site::with("[danger]\ndanger_guards_off = [\"rate-limit\", \"recall-scpe\"]\n").loaded();
        assert_eq!(codes(&loaded.warnings), [Code::Danger, Code::Danger]);
        assert_eq!(loaded.config.dangers().len(), 2);
        let problems = loaded.check_guard_names(&["rate-limit", "recall-scope"]).unwrap_err();
        assert_eq!(codes(&problems), [Code::UnknownGuard]);
        assert!(problems.to_string().contains("did you mean `recall-scope`?"), "{problems}");
        assert!(loaded.check_guard_names(&["rate-limit", "recall-scpe"]).is_ok());
    }

    #[test]
    fn weak_secrets_are_accepted_with_warnings_and_missing_ones_are_not() {
        for text in [
            "[danger]\ndanger_allow_weak_secrets = true\n",
            "[danger]\ndanger_guards_off = [\"secret-strength\"]\n",
        ] {
            let site = Site::with(text);
            site.file("secrets/jwt_secret", "short", 0o600);
            let loaded = site.loaded();
            assert_eq!(loaded.config.danger.weak_secrets, WeakSecrets::Allowed);
            assert!(codes(&loaded.warnings).contains(&Code::ShortSecret));
            assert!(!loaded.config.secrets.reports()[0].weaknesses.is_empty());
            std::fs::remove_file(site.path("secrets/jwt_secret")).unwrap();
            assert!(codes(&site.problems()).contains(&Code::MissingSecret));
        }
    }
}
