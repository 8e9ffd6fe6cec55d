"""KRR-ST in PyTorch: one outer step and one step of the network of the pool, at the shapes of the bench `krr-step`, as the released code does it (float32, LU).

    python3 bench/peers/krr_st.py [--n N] [--m M] [--iters N] [--threads T]
"""
from common import F, bench, options, parser, torch

parser.add_argument("--n", type=int, default=1000)
parser.add_argument("--m", type=int, default=1024)
DIM, WIDTHS = 512, (128, 256, 512)


class ConvNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        layers, inputs = [], 3
        for width in WIDTHS:
            layers += [torch.nn.Conv2d(inputs, width, 3, padding=1), torch.nn.BatchNorm2d(width), torch.nn.ReLU(), torch.nn.AvgPool2d(2)]
            inputs = width
        self.layers, self.fc = torch.nn.Sequential(*layers), torch.nn.Linear(WIDTHS[-1] * 16, DIM)

    def embed(self, x):
        return self.layers(x).flatten(1)

    def forward(self, x):
        return self.fc(self.embed(x))


def main():
    args = options()
    x_s = torch.randn(args.n, 3, 32, 32, requires_grad=True)
    y_s = torch.randn(args.n, DIM, requires_grad=True)
    x_t, y_t = torch.randn(args.m, 3, 32, 32), torch.randn(args.m, DIM)
    net = ConvNet()
    outer = torch.optim.AdamW([x_s, y_s], lr=1e-4, weight_decay=0)
    inner = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    ones = lambda phi: torch.cat([phi, torch.ones(phi.shape[0], 1)], 1)

    def step():
        net.eval()
        with torch.no_grad():
            phi_t = ones(net.embed(x_t))
        phi_s = ones(net.embed(x_s))
        k_ss = phi_s @ phi_s.T
        ridge = 1e-6 * torch.trace(k_ss.detach())
        prediction = phi_t @ phi_s.T @ torch.linalg.solve(k_ss + ridge * torch.eye(args.n), y_s)
        loss = F.mse_loss(prediction, y_t)
        gradients = torch.autograd.grad(loss, [x_s, y_s])
        for value, gradient in zip([x_s, y_s], gradients):
            value.grad = gradient
        outer.step()
        net.train()
        inner.zero_grad()
        F.mse_loss(net(x_s.detach()), y_s.detach()).backward()
        inner.step()
        return float(loss)

    bench("krr-step", step, args)


main()
