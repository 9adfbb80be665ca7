import Catalog
import Testing

@testable import Grapnel

private func load(_ file: String, flags: [(name: String, values: [String])] = []) throws(CommandFailure)
    -> ServerSettings
{
    try SettingsLoader(
        flags: flags, environment: [:], file: ("/etc/grapnel/grapnel.yaml", Array(file.utf8))
    ).load().settings
}

private func problems(_ clusters: String) -> [String] {
    do throws(CommandFailure) {
        _ = try load("manifests: m\nclusters:\n\(clusters)")
        return []
    } catch {
        return error.messages
    }
}

@Suite("Settings of clusters")
struct ClusterSettingsTests {
    @Test(
        "what is wrong is said with file, line and what is known",
        arguments: [
            ("- {kubeconfig: b}", "3: error: clusters[0].name is missing"),
            ("- {name: '', kubeconfig: b}", "3: error: clusters[0].name \"\" must be lower-case letters"),
            ("- {name: Prod, kubeconfig: b}", "3: error: clusters[0].name \"Prod\" must be lower-case letters"),
            ("- {name: a/b, kubeconfig: b}", "3: error: clusters[0].name \"a/b\" must be lower-case letters"),
            ("- {name: local, kubeconfig: b}", "3: error: clusters[0].name \"local\" is the cluster of --kubernetes"),
            ("- {name: b}", "3: error: clusters[0] says nothing of how to reach the cluster; add kubeconfig"),
            ("- {name: b, kubeconfig: ''}", "3: error: clusters[0].kubeconfig is empty"),
            (
                "- {name: b, inCluster: true, kubeconfig: b}",
                "3: error: clusters[0].kubeconfig: clusters[0].inCluster needs none"
            ),
            (
                "- {name: b, inCluster: true, context: b}",
                "3: error: clusters[0].context: clusters[0].inCluster needs none"
            ),
            ("- {name: b, inCluster: yes please}", "3: error: clusters[0].inCluster must be true or false"),
            ("- {name: b, kubeConfig: b}", "did you mean \"kubeconfig\"?"),
            ("- {name: b, kubeconfig: b, secretAccess: by-nmae}", "found \"by-nmae\" (did you mean \"by-name\"?)"),
            ("- {name: b, kubeconfig: b, receiverStatus: mine}", "must be one of auto, own, given, found \"mine\""),
            (
                "- {name: b, kubeconfig: b, hosts: ['https://h']}",
                "clusters[0].hosts[0] \"https://h\" must be a host name alone"
            ),
            ("- {name: b, kubeconfig: b, hosts: h}", "clusters[0].hosts must be a list"),
            ("- {name: b, kubeconfig: b, namespaces: [Team]}", "clusters[0].namespaces[0] \"Team\" is no namespace"),
            ("- {name: b, kubeconfig: b, catalog: both}", "clusters[0].catalog must be true or false"),
            (
                "- {name: b, kubeconfig: b}\n- {name: b, kubeconfig: c}",
                "4: error: clusters[1].name \"b\" is the name of the cluster in line 3"
            ),
            ("- b", "3: error: clusters[0] must be a map"),
        ])
    func wrong(clusters: String, expected: String) {
        let found = problems(clusters)
        #expect(found.contains { $0.hasPrefix("/etc/grapnel/grapnel.yaml:") && $0.contains(expected) }, "\(found)")
    }

    @Test("at most 64 clusters")
    func bound() {
        let entries = { (count: Int) in (0..<count).map { "- {name: c\($0), kubeconfig: k}" }.joined(separator: "\n") }
        #expect(problems(entries(64)) == [])
        #expect(problems(entries(65)).contains { $0.hasSuffix("2: error: clusters has more than 64 entries") })
    }

    @Test("each cluster has the settings as if it were the only one; what it leaves out is the server's")
    func each() throws {
        let settings = try load(
            """
            kubernetes: kubeconfig
            kubeconfig: own
            watchNamespace: [mine]
            secretAccess: all
            receiverStatus: given
            clusters:
            - {name: b, kubeconfig: b.yaml, context: admin, namespaces: [team-a], hosts: [B.example.org], receiverStatus: own}
            - {name: c, inCluster: true, catalog: false, secretAccess: labelled, secretSelector: a=b, fluxNamespace: f}
            - {name: d, context: other}
            """)
        let each = settings.eachCluster
        #expect(each.map(\.name) == ["local", "b", "c", "d"])
        #expect(each[0].settings.watchNamespaces == ["mine"] && each[0].settings.systems.clusters.isEmpty)
        let (b, c, d) = (each[1].settings, each[2].settings, each[3].settings)
        #expect(b.kubernetes == .kubeconfig && b.kubeconfig == "/etc/grapnel/b.yaml" && b.kubernetesContext == "admin")
        #expect(b.watchNamespaces == ["team-a"] && b.secretAccess == .all && b.receiverStatus == .own)
        #expect(b.catalogSource == .cluster && c.catalogSource == .manifests && d.catalogSource == .cluster)
        #expect(c.kubernetes == .inCluster && c.kubeconfig == nil && c.watchNamespaces == [])
        #expect(c.secretAccess == .labelled && c.secretSelector == "a=b" && c.fluxNamespace == "f")
        #expect(d.kubeconfig == nil && d.kubernetesContext == "other" && d.receiverStatus == .given)
        #expect(settings.catalogClusters == ["local", "b", "d"])
        let clusters = settings.catalogOptions.clusters
        #expect(clusters.map(\.name) == ["b", "c", "d"] && clusters.map(\.isRead) == [true, false, true])
        #expect(clusters[0].hosts == ["b.example.org"] && clusters[0].watchNamespaces == ["team-a"])
    }

    @Test("named clusters alone are a source of routes, unless none of them is read")
    func sources() throws {
        let named = "clusters: [{name: b, kubeconfig: b}]"
        #expect(try load(named).catalogSource == .cluster)
        #expect(try load("manifests: m\n" + named).catalogSource == .both)
        #expect(try load("manifests: m\ncatalog: manifests\n" + named).catalogClusters == [])
        let off = "clusters: [{name: b, kubeconfig: b, catalog: false}]"
        #expect(try load("manifests: m\n" + off).catalogSource == .manifests)
        #expect(throws: CommandFailure.self) { try load(off) }
        #expect(throws: CommandFailure.self) { try load("manifests: m\ncatalog: cluster\n" + off) }
    }
}
