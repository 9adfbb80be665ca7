// What `grapnel doctor` concludes from what it reads: bounds, mounts, rules.

import Testing

@testable import Grapnel

@Suite("Doctor")
struct DoctorTests {
    @Test("the type of a mount is that of the longest mount point above the path, the last of equals")
    func mounts() {
        let mounts = """
            22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda rw
            30 22 0:30 / /var/lib rw - xfs /dev/vdb rw
            31 30 0:31 / /var/lib/grapnel rw - tmpfs tmpfs rw
            32 30 0:32 / /var/lib/grapnel rw - nfs4 server:/x rw
            33 22 0:33 / /with\\040blank rw - overlay overlay rw
            34 22 0:34 / /broken
            """
        #expect(DiskChecks.type(of: "/var/lib/grapnel", mounts: mounts) == "nfs4")
        #expect(DiskChecks.type(of: "/var/lib/grapnel/journal", mounts: mounts) == "nfs4")
        #expect(DiskChecks.type(of: "/var/lib/grapnel-2", mounts: mounts) == "xfs")
        #expect(DiskChecks.type(of: "/with blank/data", mounts: mounts) == "overlay")
        #expect(DiskChecks.type(of: "/broken/data", mounts: mounts) == "ext4")
        #expect(DiskChecks.type(of: "/data", mounts: "") == "unknown")
        #expect(DiskChecks.type(of: "/data", mounts: "\u{0} - - -\n- - - - - - -") == "unknown")
    }

    @Test("the tightest memory limit on the way up counts; max, garbage and absurd numbers are no limit")
    func memory() {
        func limit(_ membership: String, _ files: [String: String]) -> UInt64? {
            HostChecks.memoryLimit(membership) { files[$0] }
        }
        #expect(limit("0::/a/b\n", ["/a/b/memory.max": "max\n", "/a/memory.max": "1073741824\n"]) == 1 << 30)
        #expect(limit("0::/a/b\n", ["/a/b/memory.max": "5\n", "/a/memory.max": "7\n"]) == 5)
        #expect(limit("0::/\n", ["/memory.max": "12\n"]) == 12)
        #expect(limit("4:cpu,memory:/x\n", ["/memory/x/memory.limit_in_bytes": "9223372036854771712"]) == nil)
        #expect(limit("4:cpu,memory:/x\n", ["/memory/x/memory.limit_in_bytes": "77"]) == 77)
        #expect(limit("", [:]) == nil)
        #expect(limit("nonsense\n0::\n", ["/memory.max": "-1"]) == nil)
        #expect(HostChecks.memory(limit: 100 << 20, bodies: 256 << 20).level == .fail)
        #expect(HostChecks.memory(limit: 300 << 20, bodies: 256 << 20).level == .warn)
        #expect(HostChecks.memory(limit: 512 << 20, bodies: 256 << 20).level == .ok)
        #expect(HostChecks.memory(limit: nil, bodies: 256 << 20).level == .ok)
    }

    @Test("bounds: open files, clocks")
    func bounds() {
        #expect(HostChecks.openFiles(hard: 1024, connections: 10_000).level == .fail)
        #expect(HostChecks.openFiles(hard: 10_256, connections: 10_000).level == .ok)
        #expect(HostChecks.openFiles(hard: .max, connections: 1_000_000).level == .ok)
        #expect(HostChecks.clock(isSynchronised: false).level == .warn)
        #expect(ClusterChecks.skew(0.9).level == .ok)
        #expect(ClusterChecks.skew(-30).level == .warn)
        #expect(ClusterChecks.skew(-30).message.contains("30 s behind"))
        #expect(ClusterChecks.skew(3_600).level == .fail)
    }

    @Test("every warning and failure has a remedy in its line and in its JSON")
    func lines() {
        let finding = Finding.fail("disk", "is full", "free space")
        #expect(finding.line == "FAIL  disk: is full\n      remedy: free space")
        #expect(Finding.ok("disk", "fine").line == "ok    disk: fine")
        #expect(finding.json["remedy"]?.text == "free space")
        var diagnosis = Diagnosis(findings: [.ok("a", "b"), .warn("a", "b", "c")])
        #expect(!diagnosis.hasFailed)
        diagnosis.findings.append(finding)
        #expect(diagnosis.hasFailed && diagnosis.summary == "3 checks: 1 ok, 0 notes, 1 warnings, 1 failed")
    }

    @Test("what hangs is left behind after the bound")
    func hanging() {
        let began = ContinuousClock.now
        #expect(Bounded.run(seconds: 0.2) { try? await Task.sleep(for: .seconds(900)) } == nil)
        #expect(ContinuousClock.now - began < .seconds(600))
        #expect(Bounded.call(seconds: 600) { 7 } == 7)
    }
}

@Suite("Rules for what is denied")
struct AccessRulesTests {
    private func need(
        _ group: String, _ resource: String, _ verb: String, in namespace: String? = nil, name: String? = nil
    ) -> AccessNeed {
        AccessNeed(group: group, resource: resource, verb: verb, namespace: namespace, name: name)
    }

    @Test("nothing denied, nothing to grant")
    func empty() { #expect(AccessRules.yaml([]).isEmpty) }

    @Test("resources, groups and names that share their verbs share a rule")
    func merged() {
        let yaml = AccessRules.yaml([
            need("a.example", "things", "watch"), need("a.example", "things", "list"),
            need("a.example", "others", "list"), need("a.example", "others", "watch"),
            need("b.example", "others", "watch"), need("b.example", "others", "list"),
            need("b.example", "things", "watch"), need("b.example", "things", "list"),
        ])
        #expect(
            yaml == """
                apiVersion: rbac.authorization.k8s.io/v1
                kind: ClusterRole
                metadata: {name: grapnel-missing}
                rules:
                - apiGroups: [a.example, b.example]
                  resources: [others, things]
                  verbs: [list, watch]

                """)
    }

    @Test("names stay with their namespace and verbs; a create has no name")
    func names() {
        let yaml = AccessRules.yaml([
            need("", "secrets", "get", in: "team-a", name: "one"),
            need("", "secrets", "get", in: "team-a", name: "two"),
            need("", "secrets", "get", in: "team-b", name: "one"),
            need("coordination.k8s.io", "leases", "create", in: "team-b", name: "grapnel"),
        ])
        #expect(
            yaml.contains(
                "namespace: team-a}\nrules:\n- apiGroups: [\"\"]\n  resources: [secrets]\n  resourceNames: [one, two]\n"
            ))
        #expect(yaml.contains("- apiGroups: [coordination.k8s.io]\n  resources: [leases]\n  verbs: [create]\n"))
        #expect(yaml.components(separatedBy: "---\n").count == 2)
    }

    @Test("plurals as Kubernetes makes them")
    func plurals() {
        #expect(AccessNeeds.plural("GitRepository") == "gitrepositories")
        #expect(AccessNeeds.plural("HelmRelease") == "helmreleases")
        #expect(AccessNeeds.plural("ImagePolicy") == "imagepolicies")
        #expect(AccessNeeds.plural("Ingress") == "ingresses")
        #expect(AccessNeeds.plural("Gateway") == "gateways")
    }
}
