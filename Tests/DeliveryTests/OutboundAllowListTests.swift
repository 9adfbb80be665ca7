import Testing

@testable import Delivery

@Suite("Addresses and hosts that may be called")
struct OutboundAllowListTests {
    @Test(
        "what is no address is none, old spellings of numbers too",
        arguments: [
            "", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "0x7f.0.0.1", "2130706433", ":", ":::",
            "1::2::3",
            "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "::g", "fe80::1%eth0", "[::1]", "::1.2.3",
            "1:2:3:4:5:6:7::8:9",
            "1.2.3.4::", "::1.2.3.4:5", String(repeating: "1:", count: 200),
        ])
    func noAddress(text: String) { #expect(IPAddress(text) == nil) }

    @Test(
        "addresses are read in every form",
        arguments: [
            ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("::FFFF:C000:0201", "192.0.2.1"),
            ("::", "0:0:0:0:0:0:0:0"), ("::1", "0:0:0:0:0:0:0:1"), ("2001:db8::7", "2001:db8:0:0:0:0:0:7"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1::", "1:0:0:0:0:0:0:0"),
            ("64:ff9b::1.2.3.4", "64:ff9b:0:0:0:0:102:304"),
        ])
    func address(text: String, expected: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == expected)
        #expect(IPAddress(address.description) == address)
    }

    @Test(
        "what leads to this machine, its link or a metadata service is dangerous, in disguise too",
        arguments: [
            "127.0.0.1", "127.255.0.1", "0.0.0.0", "0.1.2.3", "::1", "::", "::ffff:127.0.0.1", "::127.0.0.1",
            "64:ff9b::7f00:1", "2002:7f00:1::", "169.254.0.1", "169.254.169.254", "::ffff:a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fe80::1", "febf::1", "fd00:ec2::254", "100.100.100.200",
        ])
    func dangers(text: String) throws { #expect(try #require(IPAddress(text)).danger != nil) }

    @Test(
        "any other address is not",
        arguments: [
            "10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:db8::1", "fd00::1", "fec0::1", "::2:0:0:1", "128.0.0.1",
        ])
    func harmless(text: String) throws { #expect(try #require(IPAddress(text)).danger == nil) }

    @Test("ranges hold their addresses, and no slip of the pen")
    func networks() throws {
        let ten = try #require(IPNetwork("10.0.0.0/8"))
        #expect(try ten.contains(#require(IPAddress("10.255.1.2"))))
        #expect(try !ten.contains(#require(IPAddress("11.0.0.0"))))
        #expect(try ten.contains(#require(IPAddress("::ffff:10.1.2.3"))))
        let all = try #require(IPNetwork("0.0.0.0/0"))
        #expect(try all.contains(#require(IPAddress("255.1.2.3"))) && !all.contains(#require(IPAddress("2001:db8::"))))
        let six = try #require(IPNetwork("::/0"))
        #expect(try six.contains(#require(IPAddress("2001:db8::"))) && !six.contains(#require(IPAddress("1.2.3.4"))))
        for text in ["10.1.0.0/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129", "/8", "10.0.0.0/8/8", "a/8"] {
            #expect(IPNetwork(text) == nil, "\(text)")
        }
    }

    @Test(
        "an entry that is none is named, so that no list is shorter than it looks",
        arguments: [
            "http://h", "h:80", "h/x", "*", "*.", "a*.b", "*.*.b", "", " ", "ex ample", "10.1.0.0/8", "127.1",
            "0x7f000001",
            "10.0.0.0/99", "h..x",
        ])
    func wrongEntries(entry: String) {
        let (list, wrong) = OutboundAllowList.read(["good.example", entry])
        #expect(wrong.map(\.index) == [1])
        #expect(list.refusal(host: "good.example", isOfTenant: false) == nil)
    }

    @Test("names are compared as a whole, ignoring case and the root's dot; a suffix means subdomains only")
    func names() {
        let list = OutboundAllowList.read(["Hooks.Example.org", "*.ci.example.org"]).list
        for host in ["hooks.example.org", "HOOKS.example.ORG.", "a.ci.example.org", "a.b.ci.example.org"] {
            #expect(list.refusal(host: host, isOfTenant: true) == nil, "\(host)")
        }
        for host in [
            "example.org", "xhooks.example.org", "hooks.example.org.evil", "ci.example.org", "evilci.example.org",
        ] {
            #expect(list.refusal(host: host, isOfTenant: false) != nil, "\(host)")
        }
    }

    @Test("a name may be called for its listed address; behind a proxy only for its own sake")
    func byAddress() throws {
        let list = OutboundAllowList.read(["10.0.0.0/8"]).list
        #expect(list.refusal(host: "build.internal", isOfTenant: false) == nil)
        #expect(list.refusal(host: "build.internal", isOfTenant: false, isResolvedElsewhere: true) != nil)
        #expect(try list.refusal(#require(IPAddress("10.1.2.3")), host: "build.internal", isOfTenant: true) == nil)
        #expect(try list.refusal(#require(IPAddress("11.1.2.3")), host: "build.internal", isOfTenant: false) != nil)
    }

    @Test("a listed name that leads to this machine is right for the operator and never for a tenant")
    func listedLoopback() throws {
        let list = OutboundAllowList.read(["build.internal", "127.0.0.0/8"]).list
        let loopback = try #require(IPAddress("127.0.0.1"))
        #expect(list.refusal(loopback, host: "build.internal", isOfTenant: false) == nil)
        #expect(list.refusal(loopback, host: "build.internal", isOfTenant: true) != nil)
        #expect(OutboundAllowList().refusal(loopback, host: "x", isOfTenant: false) == nil)
        #expect(OutboundAllowList().refusal(loopback, host: "x", isOfTenant: true) != nil)
    }
}
