import ArgumentParser
import Delivery
import HTTP
import Testing

@testable import Grapnel

private func load(
    flags: [(String, [String])] = [], environment: [String: String] = [:], file: String? = nil
) throws(CommandFailure) -> SettingsLoader.Loaded {
    let base: [(name: String, values: [String])] = [("manifests", ["m"])]
    return try SettingsLoader(
        flags: base + flags.map { (name: $0.0, values: $0.1) }, environment: environment,
        file: file.map { ("/etc/grapnel/grapnel.yaml", Array($0.utf8)) }
    ).load()
}

/// The lines a user sees.
private func failure(
    flags: [(String, [String])] = [], environment: [String: String] = [:], file: String? = nil
) -> [String] {
    do throws(CommandFailure) {
        _ = try load(flags: flags, environment: environment, file: file)
        return []
    } catch {
        return error.status == .wrongInput ? error.messages : ["status \(error.status)"]
    }
}

@Suite struct SettingsLoaderTests {
    @Test(
        "a wrong value in the file is refused with its line",
        arguments: [
            ("maxBody: lots", "1: error: maxBody: \"lots\" is no size; write it as 65536, 512KiB, 25MiB or 4GiB"),
            ("maxBody: {}", "1: error: maxBody must be a single value, found a map"),
            ("headerTimeout: 2m", "1: error: headerTimeout: must be from 100ms to 1m, found \"2m\""),
            ("headerTimeout: 10", "1: error: headerTimeout: \"10\" a duration needs a unit"),
            ("maxHeader: 1MiB", "1: error: maxHeader: must be from 1KiB to 256KiB, found \"1MiB\""),
            ("maxRequestLine: 65KiB", "1: error: maxRequestLine: must be from 256 to 64KiB"),
            (
                "maxHeaderFields: 1001",
                "1: error: maxHeaderFields: must be a whole number from 8 to 1000, found \"1001\""
            ),
            ("idleTimeout: 301s", "1: error: idleTimeout: must be from 100ms to 5m"),
            ("responseTimeout: 61s", "1: error: responseTimeout: must be from 100ms to 1m"),
            ("loops: 0", "1: error: loops: must be a whole number from 1 to 256"),
            ("io: kqueue", "1: error: io: must be auto, epoll, uring, found \"kqueue\""),
            ("durability: snyc", "did you mean \"sync\"?"),
            ("listen: 127.0.0.1", "1: error: listen: \"127.0.0.1\" has no port"),
            ("listen: [{a: b}]", "1: error: listen must be a list of texts, found a list"),
            ("allowExec: maybe", "1: error: allowExec must be true or false, found text"),
            ("externalUrl: example.org", "1: error: externalUrl: must be a URL"),
            ("externalUrl: 'http://u:hunter2@h/'", "1: error: externalUrl: must be a URL"),
            ("maxBdy: 1", "1: error: unknown field \"maxBdy\" in the document (did you mean \"maxBody\"?)"),
            ("max-body: 1", "did you mean \"maxBody\"?"), ("[a]", "1: error: the document must be a map, found a list"),
            ("a: [", "error: not valid YAML"),
            ("loops: 1\n---\nloops: 2", "3: error: a settings file holds one document"),
            ("loops: 1\nloops: 2", "error: the key \"loops\" is there twice"),
            (
                "tlsListen: hooks.example.org:443",
                "1: error: tlsListen: \"hooks.example.org:443\": the host must be an IP"
            ),
            ("tlsHandshakeTimeout: 31s", "1: error: tlsHandshakeTimeout: must be from 100ms to 30s"),
            ("clusters: {}", "1: error: clusters must be a list, found a map"),
            ("dedupeWindowSeconds: 10m", "1: error: dedupeWindowSeconds: must be a whole number"),
            ("journalMaxBytes: 1MiB", "1: error: journalMaxBytes: must be from 192MiB"),
            ("oidc: {issuers: [x]}", "1: error: oidc.issuers must be a map, found a list"),
            ("oidc: {issuer: {}}", "did you mean \"issuers\"?"),
            ("outbound: {proxy: 'socks://x'}", "1: error: outbound.proxy must begin with http:// or https://"),
            ("outbound: {cafile: x}", "did you mean \"caFile\"?"),
            (
                "openshift: {profile: strict}",
                "1: error: openshift.profile must be upstream or grapnel, found \"strict\""
            ),
            ("kubesphere: {general: {ignoreping: true}}", "did you mean \"ignorePing\"?"),
            (
                "buildService: {auth: {notification: {type: bearer}}}",
                "needs exactly one of tokenFile, tokenEnv, tokenSecretRef and token, found 0"
            ),
            (
                "buildService: {auth: {notification: {type: bearer, token: ''}}}",
                "buildService.auth.notification.token is empty"
            ),
            ("buildService: {auth: {notification: {type: beaer, token: hunter2}}}", "did you mean \"bearer\"?"),
            ("buildService: {auth: {other: {}}}", "unknown field \"other\" in buildService.auth"),
            ("buildService: {auth: {notification: {type: bearer, token: 12}}}", "token must be text, found a number"),
            ("hookPaths: {team-a: [x]}", "1: error: hookPaths.team-a[0] must begin with /"),
        ])
    func wrongFile(text: String, expected: String) {
        let found = failure(file: text)
        #expect(found.contains { $0.hasPrefix("/etc/grapnel/grapnel.yaml:") && $0.contains(expected) }, "\(found)")
        #expect(!found.joined().contains("hunter2"))
    }

    @Test("wrong flags and variables are named as they were written")
    func wrongElsewhere() {
        #expect(
            failure(flags: [("maxBody", ["x"])], environment: ["GRAPNEL_LOOPS": "many"]) == [
                "GRAPNEL_LOOPS: must be a whole number from 1 to 256, found \"many\"",
                "--max-body: \"x\" is no size; write it as 65536, 512KiB, 25MiB or 4GiB",
            ])
    }

    @Test(
        "what this version does not do is refused with the remedy",
        arguments: [
            ([("catalog", ["cluster"])], "--catalog cluster: --kubernetes is off; add --kubernetes in-cluster"),
            ([("catalog", ["both"])], "--catalog both: --kubernetes is off; add --kubernetes in-cluster"),
            ([("kubeconfig", ["k"])], "--kubeconfig: --kubernetes is off; add --kubernetes kubeconfig"),
            ([("kubernetesContext", ["c"])], "--kubernetes-context: it names a context of a kubeconfig"),
            ([("secretSelector", [""])], "--secret-selector: is empty; give a label selector"),
            ([("maxBody", ["32MiB"])], "--max-body: with --max-header 32KiB at most"),
            ([("bodyMemory", ["1MiB"])], "--body-memory: 1MiB cannot hold one body"),
            ([("maxHeader", ["4KiB"])], "--max-request-line: larger than --max-header"),
            ([("bodyTimeout", ["5s"])], "--body-stall-timeout: longer than --body-timeout"),
            ([("listen", ["127.0.0.1:9293"])], "--admin-listen: 127.0.0.1:9293 is taken by --listen already"),
            ([("listen", ["[::1]:80", "[::1]:80"])], "--listen: [::1]:80 is taken by --listen already"),
        ])
    func contradictions(flags: [(String, [String])], expected: String) {
        let found = failure(flags: flags)
        #expect(found.count == 1 && found[0].hasPrefix(expected), "\(found)")
    }

    @Test("without manifests there is nothing to serve")
    func nothing() throws {
        #expect(throws: CommandFailure.self) { try SettingsLoader(flags: [], environment: [:], file: nil).load() }
        let source = { (flags: [(name: String, values: [String])]) in
            try SettingsLoader(flags: flags, environment: [:], file: nil).load().settings.catalogSource
        }
        for mode in ["kubeconfig", "in-cluster"] {
            #expect(try source([(name: "kubernetes", values: [mode])]) == .cluster)
            #expect(
                try source([(name: "kubernetes", values: [mode]), (name: "manifests", values: ["/m"])]) == .both)
        }
        do {
            _ = try source([(name: "kubernetes", values: ["kubeconfig"]), (name: "catalog", values: ["both"])])
            Issue.record("both without a directory was accepted")
        } catch {
            #expect("\(error)".contains("--catalog both: no --manifests DIR given"))
        }
    }

    @Test("flags win over variables, those over the file, that over the defaults")
    func precedence() throws {
        let file = "maxBody: 1MiB\nheaderTimeout: 1s\nloops: 3\n"
        let environment = [
            "GRAPNEL_HEADER_TIMEOUT": "2s", "GRAPNEL_LOOPS": "4", "GRAPNEL_LISTEN": "127.0.0.1:1, [::1]:2",
        ]
        let settings = try load(flags: [("loops", ["5"])], environment: environment, file: file).settings
        #expect(settings.bodyBytesMax == 1 << 20 && settings.headerTimeoutNanoseconds == 2_000_000_000)
        #expect(settings.loops == 5 && settings.idleTimeoutNanoseconds == 30_000_000_000)
        #expect(settings.listen == [Endpoint(host: "127.0.0.1", port: 1), Endpoint(host: "::1", port: 2)])
    }

    @Test("the defaults are the documented ones")
    func defaults() throws {
        let settings = try load().settings
        #expect(settings.listen == [Endpoint(host: "0.0.0.0", port: 9292)])
        #expect(settings.adminListen == Endpoint(host: "127.0.0.1", port: 9293))
        #expect(settings.bodyBytesMax == 26_279_936 && settings.bodyMemoryBytesMax == 268_435_456)
        #expect(settings.requestLimits == RequestLimits())
        #expect(settings.journalBytesMax == 4 << 30 && settings.journalAgeNanosecondsMax == 604_800_000_000_000)
        #expect(settings.connectionsMax == 10_000 && settings.connectionsPerSourceMax == 512)
        #expect(settings.catalogSource == .manifests && settings.kubernetes == .off && !settings.allowExec)
        #expect(settings.loopCount >= 1)
    }

    @Test("file names in the file are relative to it, those of flags to the working directory")
    func relative() throws {
        let file =
            "manifests: [hooks, /srv/hooks]\ndataDir: data\noutbound: {caFile: ca.pem}\noidc: {issuers: {'https://i': {jwks: keys.json, discovery: 'https://x/y'}}}"
        let loader = SettingsLoader(flags: [], environment: [:], file: ("/etc/grapnel/grapnel.yaml", Array(file.utf8)))
        let settings = try loader.load().settings
        #expect(settings.manifests == ["/etc/grapnel/hooks", "/srv/hooks"])
        #expect(
            settings.dataDirectory == "/etc/grapnel/data" && settings.systems.outbound.caFile == "/etc/grapnel/ca.pem")
        #expect(
            settings.systems.oidcIssuers["https://i"] == .init(discovery: "https://x/y", jwks: "/etc/grapnel/keys.json")
        )
        #expect(try load(flags: [("dataDir", ["d"])], file: "dataDir: x").settings.dataDirectory == "d")
    }

    @Test("settings of systems to come are accepted, kept, and keep their secrets to themselves")
    func systems() throws {
        let file = """
            {"kubernetes": off, "outbound": {"proxy": "http://127.0.0.1:3128", "caFile": "/ca"}, "openshift": {"profile": "grapnel"},
             "kubesphere": {"requireSecret": true, "githubUnauthenticated": true, "general": {"ignorePing": false, "branchFilter": true, "overrides": true}},
             "dedupeWindowSeconds": 600, "allowCrossNamespace": ["a"], "hookPaths": {"a": ["/x"]}, "namespaceWeights": {"a": 3, "east/b": 100},
             "buildService": {"auth": {"notification": {"type": "basic", "username": "u", "password": "hunter2"},
               "artifactory": {"type": "jfrogToken", "secret": "hunter2"}, "dockerHub": {"type": "urlToken", "token": "hunter2"}},
               "hostAliases": {"a": "b"}, "forceBuild": true, "coalesceSeconds": 2,
               "artifactory": {"repositories": [{"repoKey": "k", "prefixes": ["p"]}]}, "dockerHub": {"callback": true}}}
            """
        let settings = try load(file: file).settings
        #expect(settings.systems.openShift.profile == .grapnel && settings.systems.kubeSphere.overrides)
        #expect(settings.systems.namespaceWeights == ["a": 3, "east/b": 100])
        #expect(!settings.systems.kubeSphere.ignorePing && settings.dedupeWindowSeconds == 600)
        #expect(
            BuildServiceEndpoint.allCases.allSatisfy { settings.systems.buildService.credentials(of: $0).count == 1 })
        #expect(settings.systems.buildService.repositories == [.init(repoKey: "k", prefixes: ["p"])])
        #expect(!"\(settings)".contains("hunter2"))
        var dumped = ""
        dump(settings, to: &dumped)
        #expect(!dumped.contains("hunter2"))
    }

    @Test("variables that Kubernetes makes for a Service are passed over; near misses are warned about")
    func serviceVariables() throws {
        let loaded = try load(environment: [
            "GRAPNEL_PORT": "tcp://10.0.0.1:80", "GRAPNEL_SERVICE_HOST": "10.0.0.1", "GRAPNEL_PORT_9292_TCP_ADDR": "x",
            "GRAPNEL_MAX_BODDY": "1", "GRAPNEL_": "", "OTHER": "x", "GRAPNEL_LOG_LEVEL": "",
        ])
        #expect(loaded.warnings == ["GRAPNEL_MAX_BODDY is no setting and is ignored; did you mean GRAPNEL_MAX_BODY?"])
    }

    @Test("a kubeconfig that is named counts alone; without one kubectl's rules are left to who reads it")
    func kubeconfig() throws {
        let mode = [("kubernetes", ["kubeconfig"]), ("catalog", ["manifests"])]
        #expect(try load(flags: mode, environment: ["HOME": "/h", "KUBECONFIG": "/a:/b"]).settings.kubeconfig == nil)
        #expect(
            try load(flags: mode + [("kubeconfig", ["/k"])], environment: ["KUBECONFIG": "/a"]).settings.kubeconfig
                == "/k")
    }

    @Test("an open admin port and a weak durability are warned about")
    func warnings() throws {
        let loaded = try load(flags: [("adminListen", ["0.0.0.0:9293"]), ("durability", ["none"])])
        #expect(loaded.warnings.count == 2)
    }
}

@Suite struct SettingsTableTests {
    @Test("names, flags and variables are one name in three spellings")
    func names() throws {
        let setting = try #require(SettingsTable.all.first { $0.name == "maxConnectionsPerSource" })
        #expect(
            setting.flag == "--max-connections-per-source" && setting.variable == "GRAPNEL_MAX_CONNECTIONS_PER_SOURCE")
        #expect(Set(SettingsTable.all.map(\.name)).count == SettingsTable.all.count)
        // Kubernetes would set these for a Service named grapnel.
        #expect(
            !SettingsTable.all.contains {
                $0.variable.hasPrefix("GRAPNEL_PORT") || $0.variable.hasPrefix("GRAPNEL_SERVICE")
            })
    }

    @Test("every setting has a flag and every flag a setting")
    func flags() throws {
        let options = try ServeOptions.parse([])
        let flags = (options.sources.all + options.server.all + options.limits.all + options.actions.all).map(\.0)
        #expect(Set(flags) == Set(SettingsTable.all.map(\.name)))
        #expect(flags.count == Set(flags).count)
    }

    @Test("every flag arrives under its own name", arguments: SettingsTable.all.map(\.name))
    func arrives(name: String) throws {
        let setting = try #require(SettingsTable.all.first { $0.name == name })
        let arguments = setting.form == .toggle ? [setting.flag] : [setting.flag, "value"]
        let given = try ServeOptions.parse(arguments).given
        #expect(given.map(\.name) == [name])
        #expect(given.first?.values == [setting.form == .toggle ? "true" : "value"])
    }

    @Test("every flag has a help text")
    func help() {
        let lines = ServeOptions.helpMessage(columns: 200).split(separator: "\n", omittingEmptySubsequences: false)
        for setting in SettingsTable.all {
            let index = lines.firstIndex { ($0 + " ").contains("  \(setting.flag) ") }
            // The text stands on the flag's line or, behind a long one, on the next.
            let text = index.map { (lines[$0] + lines[$0 + 1]).split(separator: "  ").count } ?? 0
            #expect(text >= 2, "\(setting.flag)")
        }
    }
}

@Suite struct EndpointTests {
    @Test(
        "what cannot be listened on is refused",
        arguments: [
            "", "9292", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1", "example.org:80",
            "::1:80", "[::1]", "[127.0.0.1]:80",
            "[::1:80", "127.0.0.1:+80", "256.0.0.1:80",
        ])
    func bad(text: String) {
        #expect(throws: SettingError.self) { try Endpoint(text) }
    }

    @Test(
        "addresses are read and written",
        arguments: [
            ("127.0.0.1:9292", "127.0.0.1:9292"), ("[::1]:9292", "[::1]:9292"), ("localhost:1", "127.0.0.1:1"),
            (":9292", "0.0.0.0:9292"),
            ("*:80", "0.0.0.0:80"), ("0.0.0.0:0", "0.0.0.0:0"), ("[::]:65535", "[::]:65535"),
        ])
    func good(text: String, written: String) throws {
        #expect(try Endpoint(text).description == written)
    }
}

@Suite struct AvailableCoresTests {
    private func quota(_ membership: String, _ files: [String: String]) -> Double? {
        AvailableCores.quota(membership: membership) { files[$0] }
    }

    @Test("no control group, no quota, nonsense: no bound")
    func none() {
        #expect(quota("", [:]) == nil)
        #expect(quota("0::/\n", [:]) == nil)
        #expect(quota("0::/\n", ["/cpu.max": "max 100000\n"]) == nil)
        #expect(quota("0::/\n", ["/cpu.max": "x"]) == nil)
        #expect(quota("0::/\n", ["/cpu.max": "1 0"]) == nil)
        #expect(
            quota("4:cpu,cpuacct:/\n", ["/cpu/cpu.cfs_quota_us": "-1\n", "/cpu/cpu.cfs_period_us": "100000\n"]) == nil)
    }

    @Test("the tightest quota on the way to the root counts")
    func tightest() {
        let files = ["/cpu.max": "max 100000\n", "/a/cpu.max": "150000 100000\n", "/a/b/cpu.max": "400000 100000\n"]
        #expect(quota("0::/a/b\n", files) == 1.5)
        #expect(quota("0::/\n", ["/cpu.max": "200000 100000\n"]) == 2)
        let legacy = ["/cpu,cpuacct/x/cpu.cfs_quota_us": "50000\n", "/cpu,cpuacct/x/cpu.cfs_period_us": "100000\n"]
        #expect(quota("3:memory:/x\n4:cpu,cpuacct:/x\n", legacy) == 0.5)
    }

    @Test(
        "lists of cores are counted",
        arguments: [("0", 1), ("0-3", 4), ("0-1,4,6-7", 5), ("", 0), ("x", 0), ("3-1", 0)])
    func list(text: String, count: Int) {
        #expect(AvailableCores.cores(inList: text) == count)
    }

    @Test("there is at least one")
    func here() {
        #expect(AvailableCores.count() >= 1)
    }
}
