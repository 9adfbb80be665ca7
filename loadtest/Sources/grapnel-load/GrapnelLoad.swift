// grapnel-load: the command line of the load generator.

public import ArgumentParser
import Glibc
public import LoadKit

@main
struct GrapnelLoad: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grapnel-load",
        abstract: "Sends signed GitHub deliveries to a webhook receiver and measures how it answers.",
        discussion: """
            Without --rate each connection sends the next delivery as soon as the last one is answered (closed loop); \
            with it deliveries arrive at fixed times, and latency counts from those (open loop). Each delivery has an \
            id, a body and a signature of its own.
            """)

    @Option(help: "Where deliveries go: http://HOST:PORT/PATH.")
    var url = "http://127.0.0.1:9292/hooks/team-a/webapp"
    @Option(help: "A file with the secret; one newline at its end is not part of it.")
    var secretFile: String
    @Option(help: "The event of each delivery.")
    var event = "push"
    @Option(help: "How many connections.")
    var connections = 64
    @Option(help: "Deliveries per second. Without it: closed loop.")
    var rate: Double?
    @Option(help: "How deliveries follow each other in an open loop: fixed or poisson.")
    var arrivals = Arrivals.fixed
    @Option(help: "Measured time in seconds.")
    var duration = 10.0
    @Option(help: "Time before it in seconds, not counted.")
    var warmUp = 1.0
    @Option(help: "Bytes of a body.")
    var size = 8192
    @Option(help: "A JSON object to send in place of the bundled push.")
    var payload: String?
    @Option(help: "The share of deliveries with a wrong signature, 0 to 1.")
    var bad = 0.0
    @Option(help: "Sign each delivery, or once per connection, which costs the generator less: each or once.")
    var sign = Signing.each
    @Flag(help: "A connection of its own for each delivery.")
    var newConnections = false
    @Option(help: "Processes of the server, for its CPU per delivery: PID,PID...")
    var pid: String?
    @Option(help: "Seed of everything random.")
    var seed: UInt64 = 1
    @Option(help: "Write the figures as one line of JSON to this file; - is standard output, without the text.")
    var json: String?
    @Flag(help: "Print one delivery as it would be sent, and send nothing.")
    var show = false

    enum Signing: String, ExpressibleByArgument, CaseIterable { case each, once }

    func validate() throws {
        guard (1...60_000).contains(connections) else { throw ValidationError("--connections: 1 to 60000") }
        guard duration > 0, duration <= 86_400 else { throw ValidationError("--duration: above 0") }
        guard warmUp >= 0, warmUp <= 3600 else { throw ValidationError("--warm-up: 0 or more") }
        guard (0...1).contains(bad) else { throw ValidationError("--bad: 0 to 1") }
        if let rate, !(rate > 0 && rate <= 10_000_000) { throw ValidationError("--rate: above 0") }
    }

    func run() throws {
        guard let target = Target(url) else { throw ValidationError("--url: \(url) is not http://HOST:PORT/PATH") }
        guard var secret = contents(of: secretFile) else {
            throw ValidationError("--secret-file: \(secretFile) cannot be read")
        }
        if secret.last == 0x0a { secret.removeLast() }
        var document: [UInt8]?
        if let payload {
            guard let bytes = contents(of: payload) else {
                throw ValidationError("--payload: \(payload) cannot be read")
            }
            document = bytes
        }
        var plan = Plan()
        plan.connectionCount = connections
        plan.rate = rate
        plan.arrivals = arrivals
        plan.warmUpNanoseconds = UInt64(warmUp * 1e9)
        plan.measuredNanoseconds = UInt64(duration * 1e9)
        plan.badShare = bad
        plan.signsEach = sign == .each
        plan.opensEach = newConnections
        plan.seed = seed
        // From the clock, in microseconds: two runs never repeat an id.
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        plan.firstID = UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
        for part in (pid ?? "").split(separator: ",") {
            guard let process = Int32(part) else { throw ValidationError("--pid: \(part) is no process") }
            plan.serverProcesses.append(process)
        }

        let template = RequestTemplate(
            path: target.path, host: target.authority, event: event,
            payload: try Payload(byteCount: size, document: document), key: SigningKey(secret), closes: newConnections)
        if show {
            let request = template.request(id: plan.firstID & 0xffff_ffff_ffff, marker: plan.firstID, isGood: bad < 1)
            return print(String(decoding: request, as: UTF8.self))
        }
        let generator = try Generator(
            address: Address(host: target.host, port: target.port), template: template, plan: plan)
        let report = Report(plan: plan, measurement: try generator.run(), byteCount: size)
        if json != "-" { print(report.text) }
        if let json {
            if json == "-" {
                print(report.json)
            } else if !write(report.json + "\n", to: json) {
                throw ValidationError("--json: \(json) cannot be written")
            }
        }
        // No answer at all is a failure of the run, whatever the reason.
        if report.measurement.answered == 0 { throw ExitCode(1) }
    }
}

extension Arrivals: ExpressibleByArgument {}

/// An http URL in parts.
struct Target {
    var host: String
    var port: UInt16
    var path: String
    /// Host and port as the URL has them.
    var authority: String

    init?(_ url: String) {
        guard url.hasPrefix("http://") else { return nil }
        let rest = url.dropFirst("http://".count)
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        authority = String(rest[..<slash])
        path = slash == rest.endIndex ? "/" : String(rest[slash...])
        var name = rest[..<slash]
        port = 80
        if let colon = name.lastIndex(of: ":"), !name[colon...].contains("]") {
            guard let number = UInt16(name[name.index(after: colon)...]) else { return nil }
            port = number
            name = name[..<colon]
        }
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        guard !name.isEmpty else { return nil }
        host = String(name)
    }
}

private func contents(of path: String) -> [UInt8]? {
    guard let file = fopen(path, "rb") else { return nil }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = fread(&piece, 1, piece.count, file)
        if count == 0 { return ferror(file) == 0 ? bytes : nil }
        bytes += piece[..<count]
    }
}

private func write(_ text: String, to path: String) -> Bool {
    guard let file = fopen(path, "w") else { return false }
    let isWhole = fputs(text, file) >= 0
    return fclose(file) == 0 && isWhole
}
