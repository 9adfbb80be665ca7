import Delivery
import Testing

@testable import Catalog

/// Problems of a file as `line: message`, errors only unless told otherwise.
private func problems(_ text: String, _ severity: CatalogProblem.Severity = .error) -> [String] {
    ManifestFile(bytes: Array(text.utf8)).problems.filter { $0.severity == severity }.map {
        "\($0.line): \($0.message)"
    }
}

private func hook(_ spec: String) -> String {
    "apiVersion: grapnel.dev/v1alpha1\nkind: Hook\nmetadata: {name: h}\nspec:\n"
        + spec.split(separator: "\n").map { "  \($0)\n" }.joined()
}

private func receiver(_ spec: String, version: String = "notification.toolkit.fluxcd.io/v1") -> String {
    "apiVersion: \(version)\nkind: Receiver\nmetadata: {name: r}\nspec:\n"
        + spec.split(separator: "\n").map { "  \($0)\n" }.joined()
}

/// A good Hook's spec with one line exchanged or added.
private func goodHook(_ change: String = "") -> String {
    hook("type: github\nsecretRefs: [{name: s}]\nactions: []\n" + change)
}

private func goodReceiver(_ change: String = "") -> String {
    receiver("type: github\nsecretRef: {name: s}\nresources: []\n" + change)
}

@Suite struct ManifestFileTests {
    @Test(
        "what is no object of ours is refused or passed over",
        arguments: [
            ("[a, b]", "1: the document must be a map with apiVersion and kind, found a list"),
            ("just text", "1: the document must be a map with apiVersion and kind, found text"),
            ("kind: Hook", "1: apiVersion is missing or not text"),
            ("apiVersion: v1", "1: kind is missing or not text"),
            ("apiVersion: 1\nkind: Hook", "1: apiVersion is missing or not text"),
            (
                "apiVersion: grapnel.dev/v1\nkind: Hook",
                "1: apiVersion \"grapnel.dev/v1\" of Hook is unknown; known: grapnel.dev/v1alpha1"
            ),
            (
                "apiVersion: grapnel.dev/v1alpha1\nkind: Hok",
                "1: kind \"Hok\" is unknown in grapnel.dev; known: Hook (did you mean \"Hook\"?)"
            ),
            (
                "apiVersion: notification.toolkit.fluxcd.io/v2\nkind: Receiver",
                "1: apiVersion \"notification.toolkit.fluxcd.io/v2\" of Receiver is unknown; known: notification.toolkit.fluxcd.io/v1, "
                    + "notification.toolkit.fluxcd.io/v1beta2, notification.toolkit.fluxcd.io/v1beta1, "
                    + "notification.toolkit.fluxcd.io/v1alpha1, notification.fluxcd.io/v1alpha1"
            ),
            ("apiVersion: v1\nkind: List\nitems: {}", "3: items must be a list, found a map"),
            ("apiVersion: v1\nkind: Secret", "1: metadata is missing"),
            ("apiVersion: v1\nkind: Secret\nmetadata: x", "3: metadata must be a map, found text"),
            ("apiVersion: v1\nkind: Secret\nmetadata: {}", "3: metadata.name is missing"),
            (
                "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  namspace: b",
                "5: unknown field \"namspace\" in metadata (did you mean \"namespace\"?)"
            ),
            (
                "apiVersion: v1\nkind: Secret\nmetadata:\n  name: 12",
                "4: metadata.name must be text, found a number; write it in double quotes"
            ),
            (
                "apiVersion: v1\nkind: Secret\nmetadata:\n  name: A_b",
                "4: metadata.name \"A_b\" is no Kubernetes name (RFC 1123 subdomain)"
            ),
            (
                "apiVersion: v1\nkind: Secret\nmetadata: {name: ../x}",
                "3: metadata.name \"../x\" is no Kubernetes name (RFC 1123 subdomain)"
            ),
            (
                "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  namespace: b.c",
                "5: metadata.namespace \"b.c\" is no namespace (RFC 1123 label)"
            ),
        ])
    func refused(text: String, expected: String) {
        #expect(problems(text) == [expected])
    }

    @Test("other kinds are ignored with a note, Flux's own are counted, files of other tools get a warning")
    func ignored() {
        let file = ManifestFile(
            bytes: Array(
                """
                apiVersion: apps/v1
                kind: Deployment
                ---
                apiVersion: source.toolkit.fluxcd.io/v1
                kind: GitRepository
                ---
                replicas: 3
                """.utf8))
        #expect(file.ignored == 2 && file.targets == 1 && file.resources.isEmpty)
        #expect(file.problems.map(\.severity) == [.note, .warning, .warning])
        #expect(!file.hasUnidentified)
    }

    @Test(
        "a wrong Secret is refused, and no value is shown",
        arguments: [
            ("data: {token: '%%%hunter2'}", "data.token is not base64"),
            ("data: {token: 12}", "data.token must be text, found a number"),
            ("data: [hunter2]", "data must be a map, found a list"),
            ("stringData: {token: true}", "stringData.token must be text, found a boolean"),
            ("stringData: {token: [hunter2]}", "stringData.token must be text, found a list"),
            (
                "stringdata: {token: hunter2}",
                "unknown field \"stringdata\" in the document (did you mean \"stringData\"?)"
            ),
            ("data: {'../x': aGk=}", "data has a key that is no key of a Secret"),
            ("immutable: hunter2", "immutable must be true or false, found text"),
            ("sops: {mac: hunter2}", "encrypted with SOPS"),
            ("data: {token: 'ENC[AES256_GCM,data:hunter2]'}", "data.token is not base64"),
        ])
    func badSecret(line: String, expected: String) {
        let found = problems("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n\(line)\n")
        #expect(found.count == 1 && found[0].hasPrefix("4: ") && found[0].contains(expected), "\(found)")
        #expect(!found.joined().contains("hunter2"))
    }

    @Test("data is decoded, stringData wins, null is empty, nothing is trimmed")
    func secret() throws {
        let text = """
            apiVersion: v1
            kind: Secret
            metadata: {name: s, namespace: n}
            data: {a: "QUFB", b: "Qgo=", c: null}
            stringData: {a: "own\\n"}
            """
        guard case .secret(let secret)? = ManifestFile(bytes: Array(text.utf8)).resources.first else {
            return #expect(Bool(false), "no Secret")
        }
        #expect(secret.namespace == "n")
        #expect(secret.values["a"]?.bytes == Array("own\n".utf8))
        #expect(secret.values["b"]?.bytes == Array("B\n".utf8))
        #expect(secret.values["c"]?.isEmpty == true)
        #expect(!"\(secret)".contains("own"))
    }

    @Test(
        "a wrong Hook is refused with the line of what is wrong",
        arguments: [
            ("path: hooks/x", "8: spec.path must begin with /"), ("path: /a//b", "8: spec.path must not contain //"),
            ("path: /a/../b", "8: spec.path must not contain . or .. as a segment"),
            ("path: /a?b", "8: spec.path must be a path alone"),
            ("path: '/a b'", "8: spec.path has a character"),
            ("path: '/a%2'", "8: spec.path has a % that encodes nothing"),
            ("path: /ä", "8: spec.path has a character"), ("path: 12", "8: spec.path must be text, found a number"),
            ("host: 'example.org:80'", "8: spec.host \"example.org:80\" must be a host name alone"),
            ("host: https://x", "8: spec.host \"https://x\" must be a host name alone"),
            ("events: push", "8: spec.events must be a list, found text"),
            ("events: [push, 1]", "8: spec.events[1] must be text, found a number"),
            ("events: ['']", "8: spec.events[0] must be an event's name"),
            ("evnts: []", "8: unknown field \"evnts\" in spec (did you mean \"events\"?)"),
            ("secretRef: {name: s}", "8: unknown field \"secretRef\" in spec (did you mean \"secretRefs\"?)"),
            ("hmac: {header: X-Sig}", "8: spec.hmac is for type hmac only, not for type github"),
            ("coalesce: {by: all}", "8: spec.coalesce.by must be none, target, ref, found \"all\""),
            ("coalesce: {window: 1s}", "8: spec.coalesce.by is missing"),
            ("coalesce: {by: ref, window: 2}", "8: spec.coalesce.window must be text, found a number"),
            ("coalesce: {by: ref, minInterval: 2h}", "8: spec.coalesce.minInterval"),
            ("coalesce: {by: ref, window: 1s, maxDelay: 25h}", "8: spec.coalesce.maxDelay"),
            ("coalesce: {by: ref, maxDelay: 1m}", "8: spec.coalesce.maxDelay has no effect without a window"),
            ("coalesce: {by: none, window: 1s, maxDelay: 1m}", "8: spec.coalesce.maxDelay has no effect with by: none"),
            (
                "coalesce: {by: ref, window: 2m, maxDelay: 1m}",
                "8: spec.coalesce.maxDelay is below spec.coalesce.window"
            ),
            (
                "coalesce: {by: ref, window: 1s, minInterval: 2m, maxDelay: 1m}",
                "8: spec.coalesce.maxDelay is below spec.coalesce.minInterval"
            ),
            ("retry: {attempts: 0}", "8: spec.retry.attempts must be a whole number from 1 to 1000, found 0"),
            ("retry: {backoff: 1x}", "8: spec.retry.backoff: \"1x\" has an unknown unit"),
            ("retry: {attemps: 1}", "8: unknown field \"attemps\" in spec.retry (did you mean \"attempts\"?)"),
            ("retry: {backoff: 10m, maxBackoff: 1s}", "8: spec.retry.maxBackoff is below spec.retry.backoff"),
            ("maxBody: lots", "8: spec.maxBody: \"lots\" is no size"),
            ("maxBody: 0", "8: spec.maxBody must be from 1 to 1GiB"),
            (
                "dedupeWindow: 8h\ndedupeWindowSeconds: 3",
                "9: spec.dedupeWindow and spec.dedupeWindowSeconds exclude each other"
            ),
            ("dedupeWindow: 200h", "8: spec.dedupeWindow must be from 0s to 168h"),
            ("suspend: 'yes'", "8: spec.suspend must be true or false, found text"),
            ("filter: true", "8: spec.filter must be text, found a boolean"),
        ])
    func badHook(change: String, expected: String) {
        let found = problems(goodHook(change))
        #expect(found.count == 1 && found[0].hasPrefix(expected), "\(found)")
    }

    @Test(
        "type, secrets and actions of a Hook are required and checked",
        arguments: [
            ("secretRefs: [{name: s}]\nactions: []", "5: spec.type is missing"),
            (
                "type: githup\nsecretRefs: [{name: s}]\nactions: []",
                "5: spec.type \"githup\" is unknown; known types: generic-hmac, github, gitlab, hmac, bitbucket, "
            ),
            ("type: github\nactions: []", "5: spec.secretRefs is missing"),
            ("type: github\nsecretRefs: []\nactions: []", "6: spec.secretRefs is empty"),
            ("type: github\nsecretRefs: [{key: k}]\nactions: []", "6: spec.secretRefs[0].name is missing"),
            ("type: github\nsecretRefs: [hunter2]\nactions: []", "6: spec.secretRefs[0] must be a map, found text"),
            (
                "type: github\nsecretRefs: [{name: s, token: hunter2}]\nactions: []",
                "6: unknown field \"token\" in spec.secretRefs[0]"
            ),
            ("type: github\nsecretRefs: [{name: s}]", "5: spec.actions is missing; write actions: []"),
            ("type: github\nsecretRefs: [{name: s}]\nactions: {}", "7: spec.actions must be a list, found a map"),
            (
                "type: hmac\nsecretRefs: [{name: s}]\nactions: []\nhmac: {header: 'X Sig'}",
                "8: spec.hmac.header must be a header field's name"
            ),
            (
                "type: hmac\nsecretRefs: [{name: s}]\nactions: []\nhmac: {algorithm: md5}",
                "8: spec.hmac.algorithm must be sha256, sha512, found \"md5\""
            ),
            (
                "type: hmac\nsecretRefs: [{name: s}]\nactions: []\nhmac: {encoding: b64}",
                "8: spec.hmac.encoding must be hex, base64"
            ),
        ])
    func required(spec: String, expected: String) {
        let found = problems(hook(spec))
        #expect(found.count == 1 && found[0].hasPrefix(expected), "\(found)")
        #expect(!found.joined().contains("hunter2"))
    }

    @Test(
        "a wrong action is refused",
        arguments: [
            (
                "{}",
                "must be a map with exactly one of: reconcile, openshiftBuild, s2iRun, kpackRefresh, http, exec, log"
            ),
            ("log", "must be a map with exactly one of"),
            ("{log: {}, exec: {}}", "must be a map with exactly one of"),
            ("{lgo: {}}", "unknown action \"lgo\"; known: reconcile"),
            ("{log: {x: 1}}", "unknown field \"x\" in spec.actions[0].log"),
            ("{reconcile: {kind: GitRepository}}", "spec.actions[0].reconcile.name is missing"),
            ("{reconcile: {name: x}}", "spec.actions[0].reconcile.kind is missing"),
            ("{reconcile: {kind: Kustomization, name: x}}", "spec.actions[0].reconcile.apiVersion is missing"),
            ("{reconcile: {kind: GitRepository, name: '*'}}", "a Hook names its objects one by one"),
            ("{reconcile: {kind: GitRepository, name: a/b}}", "name must be an object's name"),
            ("{reconcile: {kind: GitRepository, name: '..'}}", "name must be an object's name"),
            ("{reconcile: {kind: git/x, name: a}}", "\"git/x\" is no kind"),
            ("{reconcile: {kind: GitRepository, name: a, namespace: ../x}}", "is no namespace"),
            ("{reconcile: {apiVersion: a/b/c, kind: GitRepository, name: a}}", "is no apiVersion"),
            ("{http: {}}", "spec.actions[0].http.url is missing"),
            ("{http: {url: x}}", "spec.actions[0].http.url must begin with http"),
            ("{http: {url: 'http://u:hunter2@h/'}}", "must not contain a user name or password"),
            ("{http: {url: 'http://h/', timeout: 0s}}", "timeout must be from"),
            ("{http: {url: 'http://h/', timeut: 1s}}", "did you mean \"timeout\"?"),
            ("{http: {url: 'http://h/', signingSecretRef: s}}", "signingSecretRef must be a map"),
            ("{exec: {}}", "spec.actions[0].exec.command is missing"),
            ("{exec: {command: ls}}", "spec.actions[0].exec.command must be a list"),
            ("{exec: {command: []}}", "must be a list that begins with the program's name"),
            ("{exec: {command: ['']}}", "must be a list that begins with"),
            ("{exec: {command: [\"a\\0b\"]}}", "contains a NUL byte"),
            ("{exec: {command: [ls, 1]}}", "command[1] must be text"),
        ])
    func badAction(action: String, expected: String) {
        let found = problems(hook("type: github\nsecretRefs: [{name: s}]\nactions:\n- \(action)"))
        #expect(found.count == 1 && found[0].hasPrefix("8: ") && found[0].contains(expected), "\(found)")
        #expect(!found.joined().contains("hunter2"))
    }

    @Test("several things that are wrong are all reported")
    func several() {
        let found = problems(hook("type: x\npath: y\nevents: z\nunknown: 1\nactions: []\nsecretRefs: [{name: A}]"))
        #expect(found.count == 5, "\(found)")
    }

    @Test("a full Hook is read")
    func goodHookRead() throws {
        let text = hook(
            """
            type: hmac
            host: Hooks.Example.org
            path: /in/%7Ex
            events: [push]
            secretRefs: [{name: a}, {name: b, key: next}]
            hmac: {header: X-Sig, algorithm: sha512, encoding: base64, prefix: 'v1='}
            actions:
            - reconcile: {apiVersion: source.toolkit.fluxcd.io/v1, kind: GitRepository, name: w, namespace: other}
            - http: {url: "http://127.0.0.1:9000/build", timeout: 3s, signingSecretRef: {name: out}}
            - exec: {command: [./x.sh, "a b"], timeout: 5s}
            - log: {}
            - log:
            coalesce: {by: ref, window: 2s, minInterval: 3s, maxDelay: 1h}
            retry: {attempts: 3, backoff: 2s, maxBackoff: 1m, maxAge: 1h}
            maxBody: 1MiB
            dedupeWindow: 1500ms
            suspend: true
            """)
        guard case .hook(let hook)? = ManifestFile(bytes: Array(text.utf8)).resources.first else {
            return #expect(Bool(false), "\(problems(text))")
        }
        #expect(hook.host == "hooks.example.org" && hook.path == "/in/%7Ex" && hook.sender == .hmac)
        #expect(hook.secrets.map(\.key) == ["token", "next"])
        #expect(hook.hmac == HMACScheme(header: "x-sig", algorithm: .sha512, encoding: .base64, prefix: "v1="))
        #expect(hook.actions.count == 5 && hook.isSuspended && hook.bodyBytesMax == 1 << 20)
        #expect(
            hook.coalesce
                == Coalesce(
                    by: .ref, windowNanoseconds: 2_000_000_000, minIntervalNanoseconds: 3_000_000_000,
                    maxDelayNanoseconds: 3_600_000_000_000))
        #expect(hook.retry.attempts == 3 && hook.retry.maxAgeNanoseconds == 3_600_000_000_000)
        #expect(hook.dedupeWindowSeconds == 2)
    }

    @Test("the path of a Hook defaults to its namespace and name")
    func defaultPath() {
        guard case .hook(let hook)? = ManifestFile(bytes: Array(goodHook().utf8)).resources.first else {
            return #expect(Bool(false))
        }
        #expect(hook.path == "/hooks/default/h" && hook.host == nil && hook.actions.isEmpty)
    }

    @Test(
        "a wrong Receiver is refused as admission would, in its words where it has some",
        arguments: [
            (
                "type: githup\nsecretRef: {name: s}\nresources: []",
                "5: spec.type \"githup\" is unknown; known types: generic, generic-hmac"
            ),
            ("type: github\nsecretRef: {name: s}", "5: spec.resources is missing"),
            ("type: github\nresources: []", "5: secretRef is required when type is not generic-oidc"),
            ("type: generic-oidc\nresources: []", "5: generic-oidc receivers must define at least one oidcProvider"),
            ("type: github\nsecretRef: {}\nresources: []", "6: spec.secretRef.name is missing"),
            (
                "type: github\nsecretRef: {name: s, namespace: x}\nresources: []",
                "6: unknown field \"namespace\" in spec.secretRef"
            ),
            (
                "type: github\nsecretRef: {name: s}\nresources: []\ninterval: soon",
                "8: spec.interval \"soon\" is no duration"
            ),
            (
                "type: github\nsecretRef: {name: s}\nresources: []\ninterval: 1d",
                "8: spec.interval \"1d\" is no duration"
            ),
            (
                "type: github\nsecretRef: {name: s}\nresources: []\ninterval: 5us",
                "8: spec.interval \"5us\" is no duration"
            ),
            (
                "type: github\nsecretRef: {name: s}\nresources: []\nevent: []",
                "8: unknown field \"event\" in spec (did you mean \"events\"?)"
            ),
            (
                "type: github\nsecretRef: {name: s}\nresources: []\nsuspend: 'true'",
                "8: spec.suspend must be true or false, found text"
            ),
            (
                "type: github\nsecretRef: {name: s}\nresources: []\nresourceFilter: 1",
                "8: spec.resourceFilter must be text"
            ),
            ("type: github\nsecretRef: {name: s}\nresources: [{name: x}]", "7: spec.resources[0].kind is missing"),
            (
                "type: github\nsecretRef: {name: s}\nresources: [{kind: GitRepository}]",
                "7: spec.resources[0].name is missing"
            ),
            (
                "type: github\nsecretRef: {name: s}\nresources: [{kind: GitRepository, name: x, filer: 'true'}]",
                "7: unknown field \"filer\" in spec.resources[0] (did you mean \"filter\"?)"
            ),
            (
                "type: github\nsecretRef: {name: s}\nresources: [{kind: GitRepository, name: x, matchLabels: {a: 1}}]",
                "7: spec.resources[0].matchLabels.a must be text"
            ),
            (
                "type: github\nsecretRef: {name: s}\nresources: [{kind: GitRepository, name: ../x}]",
                "7: spec.resources[0].name must be an object's name"
            ),
            (
                "type: github\nsecretRef: {name: s}\nresources: []\noidcProviders: [{issuerURL: 'https://x', validations: [{expression: a, message: b}]}]",
                "8: oidcProviders can only be set when type is generic-oidc"
            ),
            (
                "type: generic-oidc\nsecretRef: {name: s}\nresources: []\noidcProviders: [{issuerURL: 'https://x', validations: [{expression: a, message: b}]}]",
                "6: secretRef cannot be set when type is generic-oidc"
            ),
            (
                "type: generic-oidc\nresources: []\noidcProviders: [{issuerURL: x, validations: [{expression: a, message: b}]}]",
                "7: spec.oidcProviders[0].issuerURL must begin with"
            ),
            (
                "type: generic-oidc\nresources: []\noidcProviders: [{issuerURL: 'https://x', validations: []}]",
                "7: spec.oidcProviders[0].validations needs at least 1 item"
            ),
        ])
    func badReceiver(spec: String, expected: String) {
        let found = problems(receiver(spec))
        #expect(found.count == 1 && found[0].hasPrefix(expected), "\(found)")
    }

    @Test(
        "every version of a Receiver is read, with its group of the time",
        arguments: [
            "notification.toolkit.fluxcd.io/v1", "notification.toolkit.fluxcd.io/v1beta2",
            "notification.toolkit.fluxcd.io/v1beta1",
            "notification.toolkit.fluxcd.io/v1alpha1", "notification.fluxcd.io/v1alpha1",
        ])
    func versions(version: String) {
        let file = ManifestFile(
            bytes: Array(receiver("type: github\nsecretRef: {name: s}\nresources: []", version: version).utf8))
        #expect(file.resources.count == 1 && file.problems.isEmpty)
    }

    @Test("lists of objects are read, typed ones too, and one bad item harms no other")
    func lists() {
        let text = """
            apiVersion: v1
            kind: List
            items:
            - {apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {token: x}}
            - {apiVersion: v1, kind: Secret, metadata: {name: B}}
            - apiVersion: v1
              kind: SecretList
              items: [{metadata: {name: c}}]
            """
        let file = ManifestFile(bytes: Array(text.utf8))
        #expect(file.resources.map(\.key.name) == ["a", "c"])
        #expect(file.problems.map(\.line) == [5])
        var nested = "{apiVersion: v1, kind: List, items: []}"
        for _ in 0..<6 { nested = "{apiVersion: v1, kind: List, items: [\(nested)]}" }
        #expect(problems(nested).first?.contains("lists within lists") == true)
        #expect(problems("apiVersion: v1\nkind: List\nitems: null").isEmpty)
    }

    @Test("duplicate keys refuse their document only")
    func duplicates() {
        let text = goodHook() + "---\n" + goodReceiver("type: gitlab")
        let file = ManifestFile(bytes: Array(text.utf8))
        #expect(file.resources.map(\.key.kind) == [.hook])
        #expect(file.problems.count == 1 && file.problems[0].message.contains("the key \"type\" is there twice"))
        #expect(file.hasUnidentified)
    }
}

@Suite struct RFC3339Tests {
    @Test(
        "times are read with fraction and offset",
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2026-05-01T12:34:56Z", 1_777_638_896),
            ("2026-05-01T12:34:56.789Z", 1_777_638_896),
            ("2026-05-01T14:34:56+02:00", 1_777_638_896), ("2000-02-29T00:00:00z", 951_782_400),
            ("1969-12-31T23:59:59Z", -1),
        ])
    func good(text: String, expected: Int) {
        #expect(RFC3339.seconds(text) == expected)
    }

    @Test(
        "what is no time is none",
        arguments: [
            "", "2026", "2026-13-01T00:00:00Z", "2026-05-01", "2026-05-01T00:00:00", "2026-05-01T00:00:00+",
            "x026-05-01T00:00:00Z",
        ])
    func bad(text: String) {
        #expect(RFC3339.seconds(text) == nil)
    }
}
