import EventLoop
import Foundation
import Testing

@testable import Grapnel

@Suite("TLS files")
struct TLSFilesTests {
    private func load(_ flags: [(String, [String])]) -> Result<ServerSettings, CommandFailure> {
        do throws(CommandFailure) {
            return .success(
                try SettingsLoader(flags: [("manifests", ["m"])] + flags, environment: [:], file: nil).load().settings)
        } catch { return .failure(error) }
    }

    private func problems(_ flags: [(String, [String])]) -> [String] {
        if case .failure(let failure) = load(flags) { failure.messages } else { [] }
    }

    @Test("a TLS listener needs certificate and key, and they need a listener")
    func settings() throws {
        let listen = ("tlsListen", ["127.0.0.1:9443"])
        #expect(
            problems([listen]) == [
                "--tls-listen: no certificate given; add --tls-certificate FILE",
                "--tls-listen: no key given; add --tls-key FILE",
            ])
        #expect(
            problems([("tlsKey", ["k"])]) == ["--tls-key: no listener speaks TLS; add --tls-listen HOST:PORT"])
        #expect(problems([("tlsClientCa", ["c"])]).count == 1)
        #expect(
            problems([listen, ("tlsCertificate", ["c"]), ("tlsKey", ["k"]), ("listen", ["127.0.0.1:9443"])]) == [
                "--tls-listen: 127.0.0.1:9443 is taken by --listen already; choose another port"
            ])
        #expect(
            problems([listen, ("tlsCertificate", [""]), ("tlsKey", ["k"])]).first
                == "--tls-certificate: the name is empty")
    }

    @Test("the default plain listener is there without TLS listeners, and only then")
    func plainListen() throws {
        let tls = [("tlsListen", ["0.0.0.0:9443"]), ("tlsCertificate", ["c"]), ("tlsKey", ["k"])]
        #expect(try load([]).get().plainListen.map(\.port) == [9292])
        #expect(try load([]).get().tlsFiles == nil)
        let secure = try load(tls).get()
        #expect(secure.plainListen.isEmpty && secure.tlsFiles?.certificate == "c")
        #expect(try load(tls + [("listen", ["0.0.0.0:9292"])]).get().plainListen.map(\.port) == [9292])
    }

    private func identity(_ number: UInt64) -> [TLSFiles.Identity] { [TLSFiles.Identity(inode: number)] }

    @Test("changed files are read; bad ones are reported at the second look, and not again until they change")
    func watch() {
        var watch = TLSFileWatch(used: identity(1), now: 0)
        #expect(watch.step(identity(1), now: 1, isAsked: false) == .nothing)
        #expect(watch.step(identity(1), now: 1, isAsked: true) == .load)
        #expect(watch.step(identity(2), now: 1, isAsked: false) == .load)
        let isReported1 = watch.didFail(identity(2), isAsked: false)
        #expect(!isReported1)
        #expect(watch.step(identity(2), now: 2, isAsked: false) == .load)
        let isReported2 = watch.didFail(identity(2), isAsked: false)
        #expect(isReported2)
        #expect(watch.step(identity(2), now: 3, isAsked: false) == .nothing)
        #expect(watch.step(identity(2), now: 3, isAsked: true) == .load)
        let isReported3 = watch.didFail(identity(2), isAsked: true)
        #expect(isReported3)
        // The key follows: another pair.
        #expect(watch.step(identity(3), now: 4, isAsked: false) == .load)
        watch.didLoad(identity(3), now: 4)
        #expect(watch.step(identity(3), now: 5, isAsked: false) == .nothing)
        // Somebody who asks gets an answer at the first look.
        let isReported4 = watch.didFail(identity(4), isAsked: true)
        #expect(isReported4)
    }

    @Test("ticket keys turn over after twelve hours, bad files or not")
    func tickets() {
        var watch = TLSFileWatch(used: identity(1), now: 10)
        let hours: UInt64 = 3_600 * 1_000_000_000
        #expect(watch.step(identity(1), now: 10 + 12 * hours - 1, isAsked: false) == .nothing)
        #expect(watch.step(identity(1), now: 10 + 12 * hours, isAsked: false) == .renewTickets)
        _ = watch.didFail(identity(2), isAsked: true)
        #expect(watch.step(identity(2), now: 10 + 12 * hours, isAsked: false) == .renewTickets)
        watch.didRenew(now: 10 + 12 * hours)
        #expect(watch.step(identity(2), now: 10 + 13 * hours, isAsked: false) == .nothing)
    }

    @Test("fourteen days before the end the certificate expires soon")
    func validity() {
        let day: Int64 = 86_400
        func at(_ now: Int64) -> TLSValidity { TLSValidity(notBefore: 100, notAfter: 100 + 90 * day, now: now) }
        #expect(at(99) == .notYet)
        #expect(at(100) == .good)
        #expect(at(99 + 76 * day) == .good)
        #expect(at(100 + 76 * day) == .expiresSoon)
        #expect(at(99 + 90 * day) == .expiresSoon)
        #expect(at(100 + 90 * day) == .expired)
    }

    @Test("a file that changes, a link that is turned and a missing file have other identities")
    func identities() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tls-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (first, second, link) = (folder + "/a", folder + "/b", folder + "/link")
        try "same".write(toFile: first, atomically: false, encoding: .utf8)
        try "same".write(toFile: second, atomically: false, encoding: .utf8)
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: first)
        let files = TLSFiles(certificate: link, key: first)
        let before = files.identities
        #expect(before[0] == before[1])
        try FileManager.default.removeItem(atPath: link)
        #expect(files.identities[0] == TLSFiles.Identity())
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: second)
        #expect(files.identities[0] != before[0] && files.identities[1] == before[1])
    }

    @Test("what is wrong with a file names setting and file, and nothing of what is in it")
    func messages() {
        let files = TLSFiles(certificate: "/c.pem", key: "/k.pem", clientAuthorities: "/a.pem")
        for element in [TLSContextError.Element.certificate, .key, .clientAuthorities] {
            for problem in [
                TLSFileProblem.noMemory, .empty, .damaged, .encrypted, .weak, .otherKey, .leafBehind, .tooMany,
            ] {
                let text = files.message(TLSContextError(element: element, problem: problem))
                let start =
                    switch element {
                    case .certificate: "--tls-certificate /c.pem: "
                    case .key: "--tls-key /k.pem: "
                    case .clientAuthorities: "--tls-client-ca /a.pem: "
                    }
                #expect(text.hasPrefix(start))
            }
        }
        #expect(throws: CommandFailure.self) { try files.load() }
    }
}
